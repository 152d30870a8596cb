"""Address space: what the lab's own routers would confuse, beyond what the service forbids.

The service judges what it carries: link subnets, virtual networks and tunnels of one routing domain, and
public space (`lab.service`, code PrefixOverlap). Here is what it knows nothing of: the customers' LANs, their
routers, the lab's own links, the Internet. Customers are strangers to each other: two parts of a lab that no
circuit, gateway or Global Reach connection joins may have the same private addresses (facts 3.1).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Network
from typing import Literal

from edge.model import Network
from lab.service.prefixes import overlapping, refuse_public
from lab.service.services import SERVICES
from lab.topology.addresses import INTERNAL_V4, INTERNAL_V6, internet_pair
from lab.topology.layout import Layout
from lab.topology.rules.context import Context
from lab.topology.schema import Topology
from lab.topology.source import DocumentPath

Kind = Literal["fixed", "link", "public link", "pool", "advertised", "lan", "vnet", "tunnel", "internet"]

PRIVATE: tuple[Kind, ...] = ("link", "lan", "vnet", "tunnel")
"""Kinds that only their own routing domain sees."""


@dataclass(frozen=True, slots=True)
class Range:
    """A piece of address space and whose it is.

    domain: of private space, whom it meets; None: everybody. circuits: of a virtual network, those it joins.
    """

    network: Network
    words: str
    kind: Kind
    owner: str = ""
    path: DocumentPath = ()
    domain: str | None = None
    circuits: tuple[str, ...] = ()


def check(context: Context) -> None:
    """Report overlaps; of two ranges the one that stands later in the file."""
    _internet_hosts(context)
    found = tuple(ranges(context.topology, context.layout))
    overlaps = overlapping([one.network for one in found])
    for number, one in enumerate(found):
        earlier = (found[position] for position in overlaps.get(number, ()))
        other = next((item for item in earlier if _conflict(item, one)), None)
        if other is not None:
            context.report(one.path, f"{one.network} overlaps {other.words}", _hint(one))


def _hint(one: Range) -> str:
    example = {
        "link": "link subnets",
        "public link": "link subnets",
        "pool": "public space",
        "advertised": "public space",
        "internet": "an address",
    }.get(one.kind, "space")
    return f"use {example} that nothing else in the file has"


def _conflict(a: Range, b: Range) -> bool:
    """Whether two ranges that overlap may not."""
    if a.kind == b.kind == "fixed":
        return False
    kinds = {a.kind, b.kind}
    if kinds <= set(PRIVATE) and None not in (a.domain, b.domain) and a.domain != b.domain:
        return False
    if _served(a, b):
        return False
    if kinds <= {"pool", "advertised"}:
        # Several circuits may lead to one server; what addresses are translated to belongs to one (facts 5).
        return a.owner != b.owner and "pool" in kinds
    # IPv6 is not translated: what is announced on the Microsoft peering is a LAN's own space.
    return not (kinds == {"advertised", "lan"} and not isinstance(a.network, IPv4Network))


def _served(a: Range, b: Range) -> bool:
    """Whether the service judges this pair."""
    kinds = {a.kind, b.kind}
    if kinds in ({"vnet"}, {"public link"}):
        return True
    if "public link" in kinds and kinds & {"pool", "advertised"}:
        return True
    if "tunnel" in kinds:
        return bool(kinds & {"link", "public link", "vnet"})
    if "vnet" in kinds:
        link, vnet = (a, b) if b.kind == "vnet" else (b, a)
        return link.kind in ("link", "public link") and link.owner in vnet.circuits
    return kinds <= {"link", "public link"} and a.owner == b.owner


def ranges(topology: Topology, layout: Layout) -> Iterator[Range]:
    """All address space of a lab, fixed things first, then in the order of the file."""
    domains = _domains(topology, layout)
    yield Range(INTERNAL_V4, f"{INTERNAL_V4}, which the lab uses for its own links", "fixed")
    yield Range(INTERNAL_V6, f"{INTERNAL_V6}, which the lab uses for its own links", "fixed")
    for service in SERVICES.values():
        for prefix in service.prefixes:
            yield Range(prefix, f"{prefix} of {service.title}", "fixed")
    for name, circuit in layout.circuits.items():
        for kind, peering in circuit.peerings.items():
            for link in peering.links:
                words = f"{link.network}, a link subnet of circuit {name} ({kind} peering)"
                what: Kind = "link" if kind == "private" else "public link"
                yield Range(link.network, words, what, name, link.path, domains[f"circuit {name}"])
        microsoft = circuit.peerings.get("microsoft")
        for one in microsoft.advertised if microsoft is not None else ():
            words = f"{one.network}, which circuit {name} advertises"
            pool = microsoft is not None and one.network == microsoft.pool
            yield Range(one.network, words, "pool" if pool else "advertised", name, one.path)
    for name, site in topology.sites.items():
        domain = domains[f"site {name}"] if site.circuits else None
        for number, lan in enumerate(site.lan):
            path: DocumentPath = ("sites", name, "lan", number)
            yield Range(lan, f"{lan}, the LAN of site {name}", "lan", name, path, domain)
    for name, vnet in layout.vnets.items():
        for one in vnet.space:
            words = f"{one.network} of virtual network {name}"
            yield Range(one.network, words, "vnet", name, one.path, domains[f"vnet {name}"], vnet.circuits)
    for name, reach in layout.reaches.items():
        for one in reach.tunnels:
            words = f"{one.network} of Global Reach connection {name}"
            domain = domains[f"circuit {reach.circuits[0]}"]
            yield Range(one.network, words, "tunnel", name, one.path, domain, reach.circuits)
    for name, addresses in topology.internet.hosts.items():
        if addresses[0].version == 4:
            pair = internet_pair(addresses[0])[0].network
            words = f"{pair}, in which {name} is with its router"
            yield Range(pair, words, "internet", name, ("internet", "hosts", name, 0))


def _domains(topology: Topology, layout: Layout) -> dict[str, str]:
    """Who may hear of whose private routes: a name for each group of circuits, sites and networks."""
    group: dict[str, str] = {}

    def top(one: str) -> str:
        group.setdefault(one, one)
        while group[one] != one:
            one = group[one]
        return one

    def join(one: str, others: Iterable[str]) -> None:
        for other in others:
            group[top(other)] = top(one)
        top(one)

    for name in layout.circuits:
        top(f"circuit {name}")
    for name, site in topology.sites.items():
        join(f"site {name}", (f"circuit {circuit}" for circuit in site.circuits))
    for name, vnet in layout.vnets.items():
        join(f"vnet {name}", (f"circuit {circuit}" for circuit in vnet.circuits))
    for reach in layout.reaches.values():
        join(f"circuit {reach.circuits[0]}", [f"circuit {reach.circuits[1]}"])
    return {one: top(one) for one in list(group)}


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
