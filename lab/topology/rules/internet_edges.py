"""What a site does with its public addresses: its Internet edge, its firewall, the pools of its circuits."""

from __future__ import annotations

from ipaddress import IPv4Address

from lab.topology.orders import edges_of, is_managed
from lab.topology.rules.context import Context
from lab.topology.schema import Site
from lab.topology.source import DocumentPath


def check(context: Context) -> None:
    """Report Internet edges that are not there, hosts that cannot be published, pools nobody can share."""
    for name, site in context.topology.sites.items():
        path: DocumentPath = ("sites", name)
        _internet_edge(context, path, site)
        _by_circuit(context, path, site)
        for circuit in site.circuits:
            _common_pool(context, site, circuit)


def _internet_edge(context: Context, path: DocumentPath, site: Site) -> None:
    wanted = site.internet_edge
    if wanted is None:
        return
    if not site.internet:
        context.report(
            (*path, "internet_edge"),
            "the site has no Internet edge",
            "take `internet: false` out, or this",
            at_key=True,
        )
    taken: set[tuple[str, int]] = set()
    for number, one in enumerate(wanted.publish):
        where = (*path, "internet_edge", "publish", number)
        addresses = site.hosts.get(one.host)
        if addresses is None:
            there = f"there is {', '.join(site.hosts)}" if site.hosts else "the site has none"
            context.report((*where, "host"), f"the site has no host {one.host}", there)
        elif not any(isinstance(address, IPv4Address) for address in addresses):
            context.report((*where, "host"), f"{one.host} has no IPv4 address", "give it one under hosts")
        if (one.protocol, one.port) in taken:
            words = f"{one.protocol} port {one.port} of the Internet edge leads to another host already"
            context.report((*where, "port"), words, "use another port")
        taken.add((one.protocol, one.port))


def _by_circuit(context: Context, path: DocumentPath, site: Site) -> None:
    named = [
        (("announce", number, "circuits", position), circuit)
        for number, entry in enumerate(site.announce)
        for position, circuit in enumerate(entry.circuits)
    ]
    prepended: list[tuple[DocumentPath, str]] = [(("prepend", circuit), circuit) for circuit in site.prepend]
    for place, circuit in (*named, *prepended):
        if circuit not in site.circuits:
            there = f"there is {', '.join(site.circuits)}" if site.circuits else "the site has none"
            words = f"circuit {circuit} does not end at this site"
            context.report((*path, *place), words, there, at_key=place[0] == "prepend")


def _common_pool(context: Context, site: Site, name: str) -> None:
    circuit = context.topology.circuits.get(name)
    if circuit is None or context.is_cut("circuits", name) or circuit.peerings.microsoft is None:
        return
    if circuit.peerings.microsoft.nat != "common" or not site.edges:
        return
    if len(site.edges) > 2 and len(site.edges) != 2 * len(site.circuits):
        return
    if is_managed(circuit) or len(set(edges_of(site, name))) > 1:
        context.report(
            ("circuits", name, "peerings", "microsoft", "nat"),
            "two routers cannot share a pool, neither knows the other's translations",
            "give the site one edge, which carries both connections, or write per-link",
        )
