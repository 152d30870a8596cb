"""Names: nodes and links are found by name, so no two may share one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from lab.service.services import FRONT_ENDS
from lab.topology import names
from lab.topology.orders import CONNECTIONS
from lab.topology.public import has_core, has_internet
from lab.topology.rules.context import Context
from lab.topology.schema import Topology
from lab.topology.source import DocumentPath


@dataclass(frozen=True, slots=True)
class Claim:
    """A name that a part of the file takes.

    addressed: it is a node with one routing table, so packets can be sent from it and to it. bgp: it is a
    node that speaks BGP.
    """

    name: str
    what: Literal["node", "link"]
    words: str
    path: DocumentPath
    at_key: bool = False
    addressed: bool = False
    bgp: bool = False


def check(context: Context) -> None:
    """Report names that are taken twice, at the later one; a part of the file that takes several, once."""
    owners: dict[tuple[str, str], Claim] = {}
    reported: set[DocumentPath] = set()
    for claim in claims(context.topology):
        first = owners.setdefault((claim.what, claim.name), claim)
        if first is not claim and claim.path not in reported:
            reported.add(claim.path)
            context.report(
                claim.path, f"the name {claim.name} is taken by {first.words}", "use another", claim.at_key
            )


def claims(topology: Topology) -> Iterator[Claim]:
    """Every node and link that the lab will have. `derive` makes exactly these."""
    internet, core = has_internet(topology), has_core(topology)
    if core:
        yield Claim(names.CORE, "node", "Microsoft's core", (), addressed=True, bgp=True)
        for service in FRONT_ENDS:
            yield Claim(service.name, "node", f"the front end of {service.title}", (), addressed=True)
            yield Claim(service.name, "link", f"the link of {service.title}", ())
        if internet:
            yield Claim(f"{names.CORE}-{names.INTERNET}", "link", "Microsoft's link to the Internet", ())
    if internet:
        yield Claim(names.INTERNET, "node", "the Internet", (), addressed=True)
        for host in topology.internet.hosts:
            yield from _host(host, "on the Internet", ("internet", "hosts", host))
    yield from _circuits(topology)
    yield from _sites(topology)
    yield from _vnets(topology)


def _host(name: str, where: str, path: DocumentPath) -> Iterator[Claim]:
    yield Claim(name, "node", f"a host {where}", path, at_key=True, addressed=True)
    yield Claim(name, "link", f"the link of a host {where}", path, at_key=True)


def _circuits(topology: Topology) -> Iterator[Claim]:
    nodes: dict[str, Claim] = {}
    for name, circuit in topology.circuits.items():
        path: DocumentPath = ("circuits", name)
        provider = names.provider_node(circuit.provider, circuit.location)
        at_provider = (*path, "provider")
        nodes.setdefault(provider, Claim(provider, "node", f"provider {circuit.provider}", at_provider))
        for number, connection in enumerate(CONNECTIONS, 1):
            msee = names.msee(circuit.location, number)
            nodes.setdefault(
                msee, Claim(msee, "node", f"an MSEE at {circuit.location}", at_provider, bgp=True)
            )
            trunk = f"{provider}-{names.provider_port(number)}"
            nodes.setdefault(trunk, Claim(trunk, "link", f"a trunk of {provider}", at_provider))
            link = names.circuit_link(name, connection)
            yield Claim(link, "link", f"the {connection} connection of circuit {name}", path, at_key=True)
            if circuit.peerings.microsoft is not None:
                words = f"the {connection} link of circuit {name} to Microsoft's core"
                yield Claim(f"{link}-{names.CORE_DEVICE}", "link", words, path, at_key=True)
    yield from nodes.values()


def _sites(topology: Topology) -> Iterator[Claim]:
    for name, site in topology.sites.items():
        path: DocumentPath = ("sites", name)
        yield Claim(names.lan_switch(name), "node", f"the LAN switch of site {name}", path, at_key=True)
        for number, edge in enumerate(site.edges):
            where = (*path, "edges", number)
            yield Claim(edge, "node", f"an edge of site {name}", where, addressed=True, bgp=True)
            yield Claim(f"{edge}-lan", "link", f"the LAN link of edge {edge}", where)
        if site.internet:
            node = names.internet_edge(name)
            yield Claim(node, "node", f"the Internet edge of site {name}", path, at_key=True, addressed=True)
            yield Claim(f"{node}-lan", "link", f"the LAN link of {node}", path, at_key=True)
            yield Claim(f"{node}-{names.INTERNET}", "link", f"the Internet link of {node}", path, at_key=True)
        for host in site.hosts:
            yield from _host(host, f"at site {name}", (*path, "hosts", host))


def _vnets(topology: Topology) -> Iterator[Claim]:
    for name, vnet in topology.vnets.items():
        path: DocumentPath = ("vnets", name)
        words = f"virtual network {name}"
        yield Claim(names.vnet_switch(name), "node", f"the switch of {words}", path, at_key=True)
        joined = {one.circuit: number for number, one in reversed(list(enumerate(vnet.connections)))}
        for instance in (0, 1):
            node = names.gateway(name, instance)
            yield Claim(
                node, "node", f"a gateway of {words}", path, at_key=True, addressed=True, bgp=bool(joined)
            )
            for bridge in (names.GATEWAY_BRIDGE, names.VNET_BRIDGE):
                yield Claim(f"{node}-{bridge}", "link", f"a link of {node}", path, at_key=True)
        for circuit, number in sorted(joined.items(), key=lambda item: item[1]):
            for connection in CONNECTIONS:
                yield Claim(
                    f"{names.circuit_link(circuit, connection)}-{name}",
                    "link",
                    f"the {connection} link between circuit {circuit} and {words}",
                    (*path, "connections", number, "circuit"),
                )
        for host in vnet.hosts:
            yield from _host(host, f"in {words}", (*path, "hosts", host))
