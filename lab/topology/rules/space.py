"""Address space: nothing in one lab may overlap that a router could confuse."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from ipaddress import IPv4Network
from typing import Literal

from edge.model import Network
from lab.service.prefixes import overlap, refuse_public
from lab.service.services import SERVICES
from lab.topology.addresses import INTERNAL_V4, INTERNAL_V6, internet_pair
from lab.topology.rules.context import Context
from lab.topology.source import DocumentPath

Kind = Literal["fixed", "link", "pool", "lan", "vnet", "internet"]


@dataclass(frozen=True, slots=True)
class Range:
    """A piece of address space and whose it is. circuits: of a virtual network, those it joins."""

    network: Network
    words: str
    kind: Kind
    owner: str = ""
    path: DocumentPath = ()
    circuits: frozenset[str] = field(default=frozenset())


def check(context: Context) -> None:
    """Report overlaps; of two ranges the one that stands later in the file."""
    _internet_hosts(context)
    seen: list[Range] = []
    for one in _ranges(context):
        other = next((earlier for earlier in seen if _conflict(earlier, one)), None)
        if other is not None:
            context.report(one.path, f"{one.network} overlaps {other.words}", _hint(one))
        seen.append(one)


def _hint(one: Range) -> str:
    example = {"link": "link subnets", "pool": "public space", "internet": "an address"}.get(
        one.kind, "space"
    )
    return f"use {example} that nothing else in the file has"


def _conflict(a: Range, b: Range) -> bool:
    if not overlap(a.network, b.network) or (a.kind == b.kind == "fixed"):
        return False
    kinds = {a.kind, b.kind}
    if kinds == {"vnet"}:
        return a.owner == b.owner or bool(a.circuits & b.circuits)
    if kinds == {"pool"}:
        return a.owner != b.owner and isinstance(a.network, IPv4Network)
    # IPv6 is not translated: what is announced on the Microsoft peering is a LAN's own space.
    return not (kinds == {"pool", "lan"} and not isinstance(a.network, IPv4Network))


def _ranges(context: Context) -> Iterator[Range]:
    topology = context.topology
    yield Range(INTERNAL_V4, f"{INTERNAL_V4}, which the lab uses for its own links", "fixed")
    yield Range(INTERNAL_V6, f"{INTERNAL_V6}, which the lab uses for its own links", "fixed")
    for service in SERVICES.values():
        for prefix in service.prefixes:
            yield Range(prefix, f"{prefix} of {service.title}", "fixed")
    for name, circuit in topology.circuits.items():
        for kind, peering in (
            ("private", circuit.peerings.private),
            ("microsoft", circuit.peerings.microsoft),
        ):
            if peering is None:
                continue
            path: DocumentPath = ("circuits", name, "peerings", kind)
            for number, subnet in enumerate(peering.subnet):
                words = f"{subnet}, a link subnet of circuit {name} ({kind} peering)"
                yield Range(subnet, words, "link", name, (*path, "subnet", number))
            for number, subnet in enumerate(peering.ipv6.subnet if peering.ipv6 else []):
                words = f"{subnet}, a link subnet of circuit {name} ({kind} peering)"
                yield Range(subnet, words, "link", name, (*path, "ipv6", "subnet", number))
        microsoft = circuit.peerings.microsoft
        for number, prefix in enumerate(microsoft.advertised_public_prefixes if microsoft else []):
            yield Range(
                prefix,
                f"{prefix}, which circuit {name} advertises",
                "pool",
                name,
                ("circuits", name, "peerings", "microsoft", "advertised_public_prefixes", number),
            )
    for name, site in topology.sites.items():
        for number, lan in enumerate(site.lan):
            yield Range(lan, f"{lan}, the LAN of site {name}", "lan", name, ("sites", name, "lan", number))
    for name, vnet in topology.vnets.items():
        joined = frozenset(connection.circuit for connection in vnet.connections)
        for number, space in enumerate(vnet.address_space):
            where: DocumentPath = ("vnets", name, "address_space", number)
            yield Range(space, f"{space} of virtual network {name}", "vnet", name, where, joined)
    for name, addresses in topology.internet.hosts.items():
        if addresses[0].version == 4:
            pair = internet_pair(addresses[0])[0].network
            words = f"{pair}, in which {name} is with its router"
            yield Range(pair, words, "internet", name, ("internet", "hosts", name, 0))


def _internet_hosts(context: Context) -> None:
    for name, addresses in context.topology.internet.hosts.items():
        path: DocumentPath = ("internet", "hosts", name)
        if len(addresses) > 1 or addresses[0].version == 6:
            context.report(
                (*path, len(addresses) - 1),
                "a host on the Internet has one IPv4 address in this version",
                "write it alone, for example 192.0.2.53",
            )
        elif refuse_public(internet_pair(addresses[0])[0].network, strict=False) is not None:
            context.report(
                (*path, 0),
                f"{addresses[0]} is no public address",
                "use one, or 192.0.2.53 of documentation space",
            )
