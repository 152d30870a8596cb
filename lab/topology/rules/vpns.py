"""Any-to-any circuits: who speaks BGP, which PEs their sites hang on; and the names that the core takes."""

from __future__ import annotations

from collections.abc import Iterator

from lab.topology import names
from lab.topology.ipvpn import Backbone, backbones, is_any_to_any
from lab.topology.layout import Layout
from lab.topology.rules.context import Context
from lab.topology.schema import Site, Topology
from lab.topology.source import DocumentPath


def backbones_of(topology: Topology, layout: Layout) -> tuple[Backbone, ...]:
    """The backbones as far as names go."""
    places = {name: (circuit.provider, circuit.sites[0]) for name, circuit in layout.circuits.items()}
    return backbones(topology, places)


def vrfs(topology: Topology, layout: Layout) -> Iterator[str]:
    """The namespaces of VRFs on PEs and, with a VRF at each hop, on P routers."""
    for backbone in backbones_of(topology, layout):
        for vpn in backbone.vpns:
            for node in (*vpn.pes, *(backbone.routers if topology.core != "mpls" else ())):
                yield names.vpn_vrf(node, vpn.circuit)


def check(context: Context) -> None:
    """Report what is wrong with any-to-any circuits and their sites."""
    for name, circuit in context.topology.circuits.items():
        path: DocumentPath = ("circuits", name)
        if is_any_to_any(circuit) and circuit.managed == "layer2":
            context.report(
                (*path, "managed"),
                "the provider's PEs speak BGP on an any-to-any circuit, not the customer's edges",
                "take the key out, or write managed: layer3",
            )
        if is_any_to_any(circuit) and circuit.metro:
            context.report(
                (*path, "metro"),
                "the core of an any-to-any circuit reaches the MSEEs at one location",
                "take the key out",
            )
    for name, site in context.topology.sites.items():
        _site(context, name, site)


def _site(context: Context, name: str, site: Site) -> None:
    path: DocumentPath = ("sites", name)
    known = [circuit for circuit in site.circuits if circuit in context.topology.circuits]
    vpns = [circuit for circuit in known if is_any_to_any(context.topology.circuits[circuit])]
    if not vpns:
        if site.provider_edges and len(known) == len(site.circuits):
            context.report(
                (*path, "provider_edges"),
                "no circuit of this site is any-to-any, so it hangs on no PE by name",
                "take the key out, or write model: any-to-any at the circuit",
                at_key=True,
            )
        return
    pes = site.provider_edges
    for number, pe in enumerate(pes):
        if pe in pes[:number]:
            context.report((*path, "provider_edges", number), f"{pe} is here already", "name each PE once")
    if len(pes) > 1 and len(site.edges) > 1 and len(pes) != len(site.edges):
        context.report(
            (*path, "provider_edges"),
            f"{len(site.edges)} edges cannot hang on {len(pes)} PEs",
            "name one PE for all edges, or one for each",
            at_key=True,
        )
    if len(vpns) < len(known) and len(site.edges) > 2:
        context.report(
            (*path, "edges"),
            "a site with an any-to-any circuit and others has one edge or two",
            "split the site",
            at_key=True,
        )
    if site.qos is not None and len(vpns) == len(known):
        context.report(
            (*path, "qos"),
            "no edge of this site faces Microsoft, and the provider's PEs mark for no single site",
            "take the key out",
            at_key=True,
        )
