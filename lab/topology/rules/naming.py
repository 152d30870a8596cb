"""Names: nodes and links are found by name, so no two may share one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from lab.names.table import front_ends
from lab.topology import names
from lab.topology.ipvpn import Backbone, is_any_to_any
from lab.topology.layout import CircuitPlace, Layout, VnetPlace
from lab.topology.orders import CONNECTIONS, edges_of, is_line, is_managed
from lab.topology.public import has_internet
from lab.topology.rules.context import Context
from lab.topology.rules.vpns import backbones_of
from lab.topology.schema import Site, Topology
from lab.topology.source import DocumentPath
from lab.topology.values import refuse_name
from lab.topology.vpn import instances_of


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
    for claim in claims(context.topology, context.layout):
        first = owners.setdefault((claim.what, claim.name), claim)
        if first is not claim and claim.path not in reported:
            reported.add(claim.path)
            context.report(
                claim.path, f"the name {claim.name} is taken by {first.words}", "use another", claim.at_key
            )


def check_words(context: Context) -> None:
    """Report circuits and networks whose names no node can have; a file's schema has looked at its own."""
    layout = context.layout
    named = (("circuits", layout.circuits), ("vnets", layout.vnets), ("reaches", layout.reaches))
    for section, found in named:
        for name in found:
            wrong = refuse_name(name)
            if wrong is not None:
                context.report((section, name), *wrong, at_key=True)


def claims(topology: Topology, layout: Layout) -> Iterator[Claim]:
    """Every node and link that the lab will have. `derive` makes exactly these."""
    internet, core = has_internet(topology), layout.has_core()
    if core:
        yield Claim(names.CORE, "node", "Microsoft's core", (), addressed=True, bgp=True)
        for service in front_ends(topology.internet.names):
            yield Claim(service.name, "node", f"the front end of {service.title}", (), addressed=True)
            yield Claim(service.name, "link", f"the link of {service.title}", ())
        if internet:
            yield Claim(f"{names.CORE}-{names.INTERNET}", "link", "Microsoft's link to the Internet", ())
    if internet:
        yield Claim(names.INTERNET, "node", "the Internet", (), addressed=True)
        for host in topology.internet.hosts:
            yield from _host(host, "on the Internet", ("internet", "hosts", host))
    yield from _circuits(topology, layout)
    yield from _cores(topology, layout)
    yield from _sites(topology)
    yield from _vnets(topology, layout)
    for name in layout.reaches:
        for number, _ in enumerate(CONNECTIONS, 1):
            words = f"a backbone link of Global Reach connection {name}"
            yield Claim(names.reach_link(name, number), "link", words, ("reaches", name), at_key=True)


def _host(name: str, where: str, path: DocumentPath) -> Iterator[Claim]:
    yield Claim(name, "node", f"a host {where}", path, at_key=True, addressed=True)
    yield Claim(name, "link", f"the link of a host {where}", path, at_key=True)


def _circuits(topology: Topology, layout: Layout) -> Iterator[Claim]:
    shared: dict[str, Claim] = {}
    cabled = {c: _edges(site, c) for site in topology.sites.values() for c in site.circuits}
    for name, circuit in layout.circuits.items():
        path: DocumentPath = ("circuits", name)
        spec = topology.circuits.get(name)
        line = name in cabled and is_line(spec, cabled[name])
        if line:
            yield Claim(names.line(name), "link", f"the line of circuit {name}", path, at_key=True)
        for number, (connection, place) in enumerate(zip(CONNECTIONS, circuit.sites, strict=True), 1):
            for claim in _ports(name, circuit, number, place, name in cabled):
                shared.setdefault(claim.name, claim)
            link = names.circuit_link(name, connection)
            if name in cabled and not line and not circuit.port:
                yield Claim(link, "link", f"the {connection} connection of circuit {name}", path, at_key=True)
            if name in cabled and is_managed(spec) and not is_any_to_any(spec):
                node, wire = names.provider_edge(name, number), names.access_link(name, number)
                words = f"the provider's router of the {connection} connection of circuit {name}"
                yield Claim(node, "node", words, path, at_key=True, addressed=True, bgp=True)
                yield Claim(wire, "link", f"the link to {words}", path, at_key=True)
            if "microsoft" in circuit.peerings:
                words = f"the {connection} link of circuit {name} to Microsoft's core"
                yield Claim(f"{link}-{names.CORE_DEVICE}", "link", words, path, at_key=True)
    yield from shared.values()


def _ports(name: str, circuit: CircuitPlace, number: int, place: str, cabled: bool) -> Iterator[Claim]:
    """What circuits share on their way: the provider's fabric and its trunk, or Direct's ports; the MSEE."""
    path: DocumentPath = ("circuits", name, "port" if circuit.port else "provider")
    msee = names.msee(place, number)
    yield Claim(msee, "node", f"an MSEE at {place}", path, bgp=True)
    if circuit.port:
        connection = CONNECTIONS[number - 1]
        words = f"the {connection} link of port pair {circuit.port}"
        if cabled:
            yield Claim(names.circuit_link(circuit.port, connection), "link", words, path)
        yield Claim(names.card_link(circuit.port, connection), "link", f"{words}, inside the MSEE", path)
        return
    provider = names.provider_node(circuit.provider, place)
    yield Claim(provider, "node", f"provider {circuit.provider}", path)
    trunk = f"{provider}-{names.provider_port(number)}"
    yield Claim(trunk, "link", f"a trunk of {provider}", path)


def _cores(topology: Topology, layout: Layout) -> Iterator[Claim]:
    """The routers and links of providers' cores, each at the first part of the file that needs it."""
    for backbone in backbones_of(topology, layout):
        first: DocumentPath = ("circuits", backbone.vpns[0].circuit)
        words = f"the core of {backbone.provider}"
        # With labels a P router knows no customer, and so needs no BGP.
        speaks = topology.core != "mpls"
        for node in backbone.routers:
            yield Claim(node, "node", f"a P router in {words}", first, at_key=True, bgp=speaks)
        yield Claim(backbone.trunk, "link", f"a trunk in {words}", first, at_key=True)
        for pe in backbone.pes:
            path = _needs(topology, backbone, pe)
            yield Claim(pe, "node", f"a PE of {words}", path, at_key=True, bgp=True)
            yield Claim(names.core_trunk(pe), "link", f"the trunk of PE {pe}", path, at_key=True)
        for vpn in backbone.vpns:
            for one in vpn.attachments:
                words = f"the link of edge {one.edge} to PE {one.pe}"
                yield Claim(one.link, "link", words, ("sites", one.site), at_key=True)


def _needs(topology: Topology, backbone: Backbone, pe: str) -> DocumentPath:
    for vpn in backbone.vpns:
        if pe in vpn.borders:
            return ("circuits", vpn.circuit)
        for one in vpn.at(pe):
            given = topology.sites[one.site].provider_edges
            return ("sites", one.site, "provider_edges", given.index(pe)) if given else ("sites", one.site)
    raise ValueError(f"no VPN has a VRF on {pe}")


def _edges(site: Site, circuit: str) -> tuple[str, str]:
    """The edges of a circuit, as far as the site has enough of them."""
    enough = site.edges and (len(site.edges) <= 2 or len(site.edges) == 2 * len(site.circuits))
    return edges_of(site, circuit) if enough else ("", "")


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


def _vnets(topology: Topology, layout: Layout) -> Iterator[Claim]:
    for name, vnet in layout.vnets.items():
        path: DocumentPath = ("vnets", name)
        words = f"virtual network {name}"
        yield Claim(names.vnet_switch(name), "node", f"the switch of {words}", path, at_key=True)
        if vnet.subnets:
            yield from _gateways(topology, name, vnet, path)
        for host in topology.vnets[name].hosts if name in topology.vnets else ():
            yield from _host(host, f"in {words}", (*path, "hosts", host))


def _gateways(topology: Topology, name: str, vnet: VnetPlace, path: DocumentPath) -> Iterator[Claim]:
    words = f"virtual network {name}"
    joined = {circuit: number for number, circuit in reversed(list(enumerate(vnet.circuits)))}
    for instance in (0, 1):
        node = names.gateway(name, instance)
        yield Claim(
            node, "node", f"a gateway of {words}", path, at_key=True, addressed=True, bgp=bool(joined)
        )
        internet = [names.INTERNET] if has_internet(topology) else []
        for far in (names.GATEWAY_BRIDGE, names.VNET_BRIDGE, *internet):
            yield Claim(f"{node}-{far}", "link", f"a link of {node}", path, at_key=True)
    spec = topology.vnets.get(name)
    for instance in instances_of(spec) if spec is not None else ():
        node = names.vpn_gateway(name, instance)
        yield Claim(node, "node", f"the VPN gateway of {words}", path, at_key=True, addressed=True, bgp=True)
        machines = (names.VNET_BRIDGE,) if not instance else ()
        for end in (names.GATEWAY_BRIDGE, *machines, names.INTERNET):
            yield Claim(f"{node}-{end}", "link", f"a link of {node}", path, at_key=True)
    for circuit, number in sorted(joined.items(), key=lambda item: item[1]):
        for connection in CONNECTIONS:
            yield Claim(
                f"{names.circuit_link(circuit, connection)}-{name}",
                "link",
                f"the {connection} link between circuit {circuit} and {words}",
                (*path, "connections", number, "circuit"),
            )
