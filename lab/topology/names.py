"""Names of what the lab derives: nodes, devices, links. All depend on the file's names alone.

A name of the file has letters, digits and dashes only, so a name with a dot or an underscore is always
ours: `short` and the devices below use that to never meet a user's name.
"""

from __future__ import annotations

import hashlib
import re

MAX_DEVICE = 15
"""Longest name of a network device (IFNAMSIZ - 1)."""

CUSTOMER_LAN = "lan"
GATEWAY_BRIDGE = "gw"
VNET_BRIDGE = "vnet"
HOST_DEVICE = "eth0"
INTERNET = "internet"
CORE = "microsoft-core"
CORE_DEVICE = "core"
ACCESS_DEVICE = "access"
CARD_DEVICE = "msee"

_BASE32 = "abcdefghijklmnopqrstuvwxyz234567"


def digest(text: str, bits: int) -> int:
    """A number of `bits` bits that depends on the text alone, the same on every machine and day."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest(), "big") >> (256 - bits)


def short(name: str, limit: int) -> str:
    """The name itself if it fits, else its beginning, a dot and four characters of its digest."""
    if len(name) <= limit:
        return name
    number = digest(name, 20)
    tail = "".join(_BASE32[number >> shift & 31] for shift in (15, 10, 5, 0))
    return f"{name[: limit - 5]}.{tail}"


def slug(text: str) -> str:
    """Lower-case letters, digits and single dashes of a free text."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def circuit_short(circuit: str) -> str:
    """A circuit's name in devices: at most 9 characters, so that `<it>1.4094` is a device's name."""
    return short(circuit, 9)


def line_port(circuit: str) -> str:
    """Device of a point-to-point circuit's only line, equal on the CE and on the provider's side."""
    return f"{circuit_short(circuit)}0"


def line(circuit: str) -> str:
    """That line."""
    return f"{circuit}-line"


def provider_edge(circuit: str, number: int) -> str:
    """The provider's router of connection 1 or 2 of a circuit whose Layer 3 it manages."""
    return f"{circuit}-pe{number}"


def access_link(circuit: str, number: int) -> str:
    """The customer's link to that router."""
    return f"{circuit}-access{number}"


def border_pe(provider: str, location: str, number: int) -> str:
    """A provider's PE that faces MSEE 1 or 2 of a location, for any-to-any circuits."""
    return f"{provider_node(provider, location)}-pe{number}"


def site_pe(provider: str, site: str) -> str:
    """The provider's PE that a site of an any-to-any circuit hangs on, when the file names none."""
    return f"{slug(provider)}-{site}-pe"


def core_router(provider: str, number: int) -> str:
    """P router 1 or 2 of a provider's core."""
    return f"{slug(provider)}-p{number}"


def core_trunk(pe: str) -> str:
    """A PE's link to its P router."""
    return f"{pe}-core"


def core_port(node: str) -> str:
    """A core router's port towards another node; room is left for a tag behind it."""
    return short(node, 10)


def attachment_link(circuit: str, edge: str, number: int) -> str:
    """The link of an any-to-any circuit between an edge (CE) and the first, second, ... of its PEs."""
    return f"{circuit}-{edge}" if number == 1 else f"{circuit}-{edge}-{number}"


def vpn_vrf(node: str, circuit: str) -> str:
    """Namespace of an any-to-any circuit's VRF on a provider's router."""
    return f"{node}.{circuit}"


def customer_port(circuit: str, number: int) -> str:
    """Device of connection 1 (primary) or 2 (secondary), equal on the CE and on the provider's side."""
    return f"{circuit_short(circuit)}{number}"


def internet_edge(site: str) -> str:
    """The site's Internet edge node."""
    return f"{site}-inet"


def lan_switch(site: str) -> str:
    """The site's LAN switch node."""
    return f"{site}-lan"


def provider_node(provider: str, location: str) -> str:
    """The provider's fabric at a location."""
    return f"{slug(provider)}-{slug(location)}"


def msee(location: str, number: int) -> str:
    """One MSEE of the pair at a location: 1 carries primary connections, 2 secondary ones."""
    return f"msee{number}-{slug(location)}"


def msee_port(provider: str) -> str:
    """The MSEE's port towards a provider."""
    return short(slug(provider), 10)


def pair_port(pair: str, number: int) -> str:
    """Device of link 1 (primary) or 2 (secondary) of a Direct port pair, equal on the CE and on the MSEE."""
    return f"{short(pair, 12)}{number}"


def secure_port(port: str) -> str:
    """The device that encrypts on the port of a Direct pair."""
    return f"{port}s"


def pair_card(msee: str, pair: str) -> str:
    """Namespace of an MSEE's port of a Direct port pair."""
    return f"{msee}.{pair}"


def pair_device(pair: str) -> str:
    """The same port as the MSEE's routing knows it."""
    return short(pair, 10)


def card_link(pair: str, connection: str) -> str:
    """The way from an MSEE's port of a Direct port pair to its routing."""
    return f"{circuit_link(pair, connection)}-{CARD_DEVICE}"


def provider_port(number: int) -> str:
    """The provider's port towards MSEE 1 or 2."""
    return f"msee{number}"


def vrf(node: str, circuit: str, peering: str) -> str:
    """Namespace of an MSEE's VRF."""
    return f"{node}.{circuit}.{peering}"


def vnet_switch(vnet: str) -> str:
    """The node that holds a virtual network's two LANs: the GatewaySubnet and the rest."""
    return f"{vnet}-net"


def wire_of(device: str) -> str:
    """The end of a wire under a gateway's interface."""
    return f"{device}.wire"


def vpn_gateway(vnet: str, instance: int = 0) -> str:
    """The VPN gateway of a virtual network; of two instances the first (0) or the second (1)."""
    return f"{vnet}-vpn{_second(instance)}"


def tunnel_device(other: str, instance: int = 0) -> str:
    """Device of an IPsec tunnel towards a site, or towards an instance of a virtual network's gateway."""
    tail = f".vpn{_second(instance)}"
    return f"{short(other, MAX_DEVICE - len(tail))}{tail}"


def _second(instance: int) -> str:
    return "2" if instance else ""


def fast_device(vnet: str) -> str:
    """An MSEE's device on the machines' LAN of a virtual network, beside its gateway."""
    return f"{short(vnet, MAX_DEVICE - 5)}.fast"


def gateway(vnet: str, number: int) -> str:
    """Gateway instance 0 or 1."""
    return f"{vnet}-gw{number}"


def reach_link(reach: str, number: int) -> str:
    """The backbone between the primary (1) or the secondary (2) MSEEs of two circuits."""
    return f"{reach}-reach{number}"


def reach_device(reach: str) -> str:
    """Its device in both VRFs."""
    return f"{short(reach, MAX_DEVICE - 3)}.gr"


def circuit_link(circuit: str, connection: str) -> str:
    """The customer's wire of a connection."""
    return f"{circuit}-{connection}"


def identifier(text: str) -> str:
    """A name for BIRD: dashes become underscores, which no name of the file holds."""
    return text.replace("-", "_")


def session(circuit: str, *rest: str) -> str:
    """Name of a BGP session of a circuit, `ams_private_primary`.

    A long circuit's name is cut, so that BIRD's symbols (64 characters) hold it with a prefix and `_v6`.
    """
    return identifier("_".join([short(circuit, 24).replace(".", "_"), *rest]))
