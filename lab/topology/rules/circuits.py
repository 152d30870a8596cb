"""Circuits: the customer's hand-off and NAT pool, and that each ends at one site; the service has more."""

from __future__ import annotations

from ipaddress import IPv4Network

from lab.topology.circuit_schema import CUSTOMER_ASN, Circuit, MicrosoftPeering
from lab.topology.circuit_side import POOL_LENGTH
from lab.topology.ipvpn import is_any_to_any
from lab.topology.rules.context import Context
from lab.topology.source import DocumentPath

_ROUTERS = "the provider's routers end the customer's line"
_NO_WIRE = {"direct": "edge and MSEE are joined without a provider"}


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
    _uses(context)


def _circuit(context: Context, name: str, circuit: Circuit) -> None:
    path: DocumentPath = ("circuits", name)
    handoff = circuit.handoff
    if handoff.encapsulation == "dot1q" and handoff.outer_ethertype is not None:
        context.report(
            (*path, "handoff", "outer_ethertype"),
            "a dot1q handoff has no outer tag on the customer's wire",
            "take the key out, or write encapsulation: qinq",
        )
    _shape(context, path, name, circuit)
    if circuit.peerings.microsoft is not None:
        _pool(context, (*path, "peerings", "microsoft"), circuit.peerings.microsoft)


def _shape(context: Context, path: DocumentPath, name: str, circuit: Circuit) -> None:
    """What a connectivity model and a managed Layer 3 ask of the other keys (facts 1.1)."""
    handoff, managed = circuit.handoff, circuit.managed == "layer3"
    if handoff.evc_tags is not None and circuit.model != "point-to-point":
        context.report(
            (*path, "handoff", "evc_tags"),
            "only a point-to-point circuit has virtual circuits with outer tags of their own",
            "take the key out, or write model: point-to-point",
        )
    elif handoff.evc_tags is not None and handoff.encapsulation == "dot1q":
        context.report(
            (*path, "handoff", "evc_tags"),
            "a dot1q handoff has no outer tag on the customer's wire",
            "take the key out, or write encapsulation: qinq",
        )
    elif handoff.evc_tags is not None and handoff.evc_tags[0] == handoff.evc_tags[1]:
        context.report(
            (*path, "handoff", "evc_tags", 1),
            f"both virtual circuits have the outer tag {handoff.evc_tags[0]}",
            "give each its own",
        )
    sites = [site for site in context.topology.sites.values() if name in site.circuits]
    alone = any(len(site.edges) == 1 for site in sites)
    if circuit.model == "point-to-point" and not managed and alone and handoff.encapsulation == "dot1q":
        context.report(
            (*path, "handoff", "encapsulation"),
            "one line carries both connections, and with dot1q no outer tag tells them apart",
            "write encapsulation: qinq, or give the site a second edge and so a second line",
        )
    _customer_asn(context, path, circuit)
    if circuit.link_loss_forwarding and (managed or circuit.model in ("direct", "any-to-any")):
        context.report(
            (*path, "link_loss_forwarding"),
            f"no carrier is forwarded here: {_NO_WIRE.get(circuit.model, _ROUTERS)}",
            "take the key out",
        )
    for site_name, site in context.topology.sites.items():
        for number, entry in enumerate(site.overrides):
            if managed and entry.circuit == name:
                context.report(
                    ("sites", site_name, "overrides", number, "circuit"),
                    f"the provider's routers speak BGP on circuit {name}, not the site's edges",
                    "take the override out, or write managed: layer2",
                )


def _customer_asn(context: Context, path: DocumentPath, circuit: Circuit) -> None:
    if circuit.managed == "layer2":
        if circuit.customer_asn is not None:
            context.report(
                (*path, "customer_asn"),
                "where the customer's edges speak BGP with Microsoft, peer_asn is their AS number",
                "take the key out, or write managed: layer3",
            )
        return
    peering = circuit.peerings.private or circuit.peerings.microsoft
    number = circuit.customer_asn or CUSTOMER_ASN
    if peering is not None and peering.peer_asn == number:
        context.report(
            (*path, "customer_asn") if circuit.customer_asn is not None else (*path, "managed"),
            f"the customer's edges and the provider's routers would both be AS {number}",
            "write another customer_asn",
        )


def _pool(context: Context, path: DocumentPath, peering: MicrosoftPeering) -> None:
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


def _uses(context: Context) -> None:
    owners: dict[str, str] = {}
    for site_name, site in context.topology.sites.items():
        for number, circuit in enumerate(site.circuits):
            path: DocumentPath = ("sites", site_name, "circuits", number)
            if circuit not in context.topology.circuits:
                context.unknown(path, "circuit", circuit, "circuits")
            elif circuit in owners and (
                owners[circuit] == site_name or not is_any_to_any(context.topology.circuits[circuit])
            ):
                where = "here already" if owners[circuit] == site_name else f"at site {owners[circuit]}"
                hint = "order a second circuit"
                if owners[circuit] != site_name:
                    hint += ", or write model: any-to-any at this one"
                context.report(path, f"circuit {circuit} ends {where}", hint)
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
