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


def provider_port(number: int) -> str:
    """The provider's port towards MSEE 1 or 2."""
    return f"msee{number}"


def vrf(node: str, circuit: str, peering: str) -> str:
    """Namespace of an MSEE's VRF."""
    return f"{node}.{circuit}.{peering}"


def vnet_switch(vnet: str) -> str:
    """The node that holds a virtual network's two LANs: the GatewaySubnet and the rest."""
    return f"{vnet}-net"


def gateway(vnet: str, number: int) -> str:
    """Gateway instance 0 or 1."""
    return f"{vnet}-gw{number}"


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
