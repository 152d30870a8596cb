"""Circuits: tags, tiers, filters, NAT pools, and that each ends at one site."""

from __future__ import annotations

from ipaddress import IPv4Network

from lab.service import limits, locations, services
from lab.service.refusal import Refusal
from lab.topology import names
from lab.topology.circuit_schema import Circuit, MicrosoftPeering
from lab.topology.rules.context import Context
from lab.topology.source import DocumentPath

POOL_LENGTH = 30
"""Longest prefix that still gives each link half a NAT pool of two addresses (facts 5, option 1)."""


def check(context: Context) -> None:
    """Report what is wrong with circuits."""
    topology = context.topology
    for section, what, found in (
        ("circuits", "circuit", len(topology.circuits)),
        ("sites", "site", len(topology.sites)),
    ):
        if not found and not context.is_cut(section):
            context.report((section,), f"there is no {what}", f"a lab has one {what} at least", at_key=True)
    for name, circuit in topology.circuits.items():
        _circuit(context, name, circuit)
    _s_tags(context)
    _uses(context)
    _vnet_links(context)


def _circuit(context: Context, name: str, circuit: Circuit) -> None:
    path: DocumentPath = ("circuits", name)
    place = locations.LOCATIONS[circuit.location]
    if circuit.sku.tier == "local":
        context.refuse((*path, "sku", "tier"), locations.refuse_local_tier(place))
    handoff = circuit.handoff
    if handoff.encapsulation == "dot1q" and handoff.outer_ethertype is not None:
        context.report(
            (*path, "handoff", "outer_ethertype"),
            "a dot1q handoff has no outer tag on the customer's wire",
            "take the key out, or write encapsulation: qinq",
        )
    private, microsoft = circuit.peerings.private, circuit.peerings.microsoft
    if private and microsoft and private.vlan == microsoft.vlan:
        context.report(
            (*path, "peerings", "microsoft", "vlan"),
            f"C-tag {microsoft.vlan} is taken by the circuit's private peering",
            f"use another of 1-4094, for example {200 if private.vlan != 200 else 201}",
        )
    if microsoft is not None:
        _microsoft(context, (*path, "peerings", "microsoft"), microsoft)
        for number, entry in enumerate(microsoft.route_filter):
            community = services.resolve_filter_entry(entry)
            if not isinstance(community, Refusal):
                context.refuse(
                    (*path, "peerings", "microsoft", "route_filter", number),
                    services.refuse_filter_on_tier(community, circuit.sku.tier, place),
                )


def _microsoft(context: Context, path: DocumentPath, peering: MicrosoftPeering) -> None:
    here = (*path, "advertised_public_prefixes")
    prefixes = peering.advertised_public_prefixes
    pools = [number for number, prefix in enumerate(prefixes) if isinstance(prefix, IPv4Network)]
    if not pools:
        context.report(here, "there is no IPv4 prefix to translate to", "add one, for example 203.0.113.0/28")
    elif prefixes[pools[0]].prefixlen > POOL_LENGTH:
        context.report(
            (*here, pools[0]),
            f"{prefixes[pools[0]]} is the NAT pool and too small to give each link half of it",
            f"use a /{POOL_LENGTH} or larger, or list a larger prefix first",
        )
    if peering.ipv6 is None:
        for number, prefix in enumerate(prefixes):
            if prefix.version == 6:
                context.report(
                    (*here, number),
                    f"{prefix} cannot be announced, the peering has no IPv6",
                    "add ipv6: {subnet: ...} to the peering",
                )


def _s_tags(context: Context) -> None:
    """An S-tag names one circuit at a provider's location (facts 1.2)."""
    owners: dict[tuple[str, int], str] = {}
    for name, circuit in context.topology.circuits.items():
        tag = circuit.handoff.s_tag
        if tag is None:
            continue
        node = names.provider_node(circuit.provider, circuit.location)
        first = owners.setdefault((node, tag), name)
        if first != name:
            context.report(
                ("circuits", name, "handoff", "s_tag"),
                f"S-tag {tag} is taken by circuit {first} at {circuit.provider} {circuit.location}",
                "use another of 1-4094, or leave s_tag out",
            )


def _uses(context: Context) -> None:
    owners: dict[str, str] = {}
    for site_name, site in context.topology.sites.items():
        for number, circuit in enumerate(site.circuits):
            path: DocumentPath = ("sites", site_name, "circuits", number)
            if circuit not in context.topology.circuits:
                context.unknown(path, "circuit", circuit, "circuits")
            elif circuit in owners:
                where = "here already" if owners[circuit] == site_name else f"at site {owners[circuit]}"
                context.report(path, f"circuit {circuit} ends {where}", "order a second circuit")
            else:
                owners[circuit] = site_name
    if context.is_cut("sites"):
        return
    for name in context.topology.circuits:
        if name not in owners:
            context.report(
                ("circuits", name),
                "no site uses this circuit",
                f"write circuits: [{name}] at a site, or take the circuit out",
                at_key=True,
            )


def _vnet_links(context: Context) -> None:
    for name, circuit in context.topology.circuits.items():
        joined = [
            (vnet, number)
            for vnet, spec in context.topology.vnets.items()
            for number, connection in enumerate(spec.connections)
            if connection.circuit == name
        ]
        refusal = limits.refuse_vnet_links(len(joined), circuit.bandwidth, circuit.sku.tier)
        if refusal is not None:
            vnet, number = joined[limits.vnet_link_limit(circuit.bandwidth, circuit.sku.tier)]
            context.refuse(("vnets", vnet, "connections", number, "circuit"), refusal)
