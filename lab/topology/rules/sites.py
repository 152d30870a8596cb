"""Sites: LANs, edges and the circuits they carry, hosts, overrides."""

from __future__ import annotations

from collections.abc import Callable

from edge.model import Address, Network
from lab.topology.addresses import is_lan_edge, lan_routers, network_of
from lab.topology.ipvpn import is_any_to_any
from lab.topology.orders import configured, edges_of, orders_of
from lab.topology.rules.context import Context
from lab.topology.schema import Hosts, Override, Site
from lab.topology.source import DocumentPath


def check(context: Context) -> None:
    """Report what is wrong with sites."""
    for name, site in context.topology.sites.items():
        path: DocumentPath = ("sites", name)
        _edges(context, path, site)
        _announce(context, path, site)
        if _lan(context, path, site):
            _lan_hosts(context, path, site)
        for number, override in enumerate(site.overrides):
            _override(context, (*path, "overrides", number), site, override)
    _override_tags(context)


def _edges(context: Context, path: DocumentPath, site: Site) -> None:
    edges, circuits = len(site.edges), len(site.circuits)
    if circuits and not edges:
        context.report(
            (*path, "circuits"), "no edge router carries them", "add edges: [ce1, ce2]", at_key=True
        )
    elif edges and not circuits:
        context.report(
            (*path, "edges"), "the site has no circuit to carry", "add circuits: [...]", at_key=True
        )
    elif edges > 2 and edges != 2 * circuits and not _in_vpn(context, site):
        context.report(
            (*path, "edges"),
            f"{edges} edges cannot carry {circuits} circuit{'s' if circuits > 1 else ''}",
            f"name one edge, two, or a pair for each circuit ({2 * circuits})",
        )


def _in_vpn(context: Context, site: Site) -> bool:
    """Whether a circuit of the site is any-to-any: `rules.vpns` counts its edges."""
    return any(is_any_to_any(context.topology.circuits.get(name)) for name in site.circuits)


def _announce(context: Context, path: DocumentPath, site: Site) -> None:
    known = [context.topology.circuits[name] for name in site.circuits if name in context.topology.circuits]
    complete = len(known) == len(site.circuits) and not any(
        context.is_cut("circuits", name, "peerings") for name in site.circuits
    )
    private = [circuit.peerings.private for circuit in known if circuit.peerings.private is not None]
    if not complete:
        return
    for number, entry in enumerate(site.announce):
        where = (*path, "announce", number, "prefix")
        if not private:
            context.report(
                where,
                f"{entry.prefix} is announced nowhere, no circuit here has a private peering",
                "take it out",
            )
        elif entry.prefix.version == 6 and not any(peering.ipv6 for peering in private):
            context.report(
                where,
                f"{entry.prefix} is announced nowhere, no private peering here has IPv6",
                "add ipv6: {subnet: ...} to the peering",
            )


def _lan(context: Context, path: DocumentPath, site: Site) -> bool:
    """Whether the LAN can be numbered."""
    good = True
    for version, least in ((4, 1), (6, 0)):
        found = [number for number, lan in enumerate(site.lan) if lan.version == version]
        if len(found) < least:
            context.report((*path, "lan"), "the LAN has no IPv4 prefix", "add one, for example 10.1.0.0/16")
            good = False
        elif len(found) > 1:
            context.report(
                (*path, "lan", found[1]),
                f"the LAN has a second IPv{version} prefix",
                "keep one; what the edges announce beside it goes under announce",
            )
            good = False
    routers = len(site.edges) + site.internet
    for number, lan in enumerate(site.lan):
        if lan.num_addresses < routers + 3:
            context.report(
                (*path, "lan", number),
                f"{lan} is too small for {routers} routers and a host",
                "use a /29 or larger" if lan.version == 4 else "use a /64",
            )
            good = False
    return good


def _lan_hosts(context: Context, path: DocumentPath, site: Site) -> None:
    names = [*site.edges, *(["the Internet edge"] if site.internet else [])]
    routers: dict[Address, str] = {}
    for lan in site.lan:
        for name, router in zip(names, lan_routers(lan, len(site.edges), site.internet), strict=True):
            routers[router.ip] = name

    def refuse_address(address: Address, network: Network) -> str:
        if address in routers:
            return f"{address} is the address of {routers[address]} on this LAN"
        return f"{address} is no host's address in {network}" if is_lan_edge(address, network) else ""

    check_hosts(context, path, site.hosts, tuple(site.lan), "the LAN", refuse_address)


def check_hosts(
    context: Context,
    path: DocumentPath,
    hosts: Hosts,
    networks: tuple[Network, ...],
    what: str,
    refuse_address: Callable[[Address, Network], str],
) -> None:
    """Report hosts outside their networks, on a taken address, or on one that `refuse_address` names."""
    taken: dict[Address, str] = {}
    for host, addresses in hosts.items():
        for number, address in enumerate(addresses):
            where = (*path, "hosts", host, number)
            network = network_of(address, networks)
            if network is None:
                context.report(
                    where,
                    f"{address} is outside {what} ({', '.join(map(str, networks))})",
                    f"use an address such as {_example(networks, address.version)}",
                )
            elif address in taken:
                context.report(where, f"{address} is the address of {taken[address]}", "use another")
            elif words := refuse_address(address, network):
                context.report(where, words, f"use one such as {_example(networks, address.version)}")
            else:
                taken[address] = host


def _example(networks: tuple[Network, ...], version: int) -> str:
    """An address that a host may have: the tenth, or the last but one of a small network."""
    own = next((network for network in networks if network.version == version), networks[0])
    return str(own.network_address + min(10, own.num_addresses - 2))


def _override(context: Context, path: DocumentPath, site: Site, override: Override) -> None:
    if override.edge not in site.edges:
        there = f"there is {', '.join(site.edges)}" if site.edges else "the site has no edges"
        context.report((*path, "edge"), f"the site has no edge {override.edge}", there)
        return
    edge = next(item for item in site.edge_routers if item.name == override.edge)
    for key in ("shared_key", "peer_asn", "bfd", "local_preference") if edge.own is not None else ():
        if getattr(override, key) is not None:
            context.report(
                (*path, key),
                f"{override.edge} has a configuration of its own, which says that",
                f"take it out and write it in {edge.own.file if edge.own else 'its file'}",
            )
    if override.circuit not in site.circuits:
        there = f"there is {', '.join(site.circuits)}" if site.circuits else "the site has none"
        context.report((*path, "circuit"), f"circuit {override.circuit} does not end at this site", there)
        return
    circuit = context.topology.circuits.get(override.circuit)
    if circuit is None or context.is_cut("circuits", override.circuit, "peerings"):
        return
    if getattr(circuit.peerings, override.peering) is None:
        context.report(
            (*path, "peering"),
            f"circuit {override.circuit} has no {override.peering} peering",
            "order it first",
        )
    if override.s_tag is not None and circuit.handoff.encapsulation == "dot1q":
        context.report((*path, "s_tag"), "a dot1q handoff has no S-tag on the customer's wire", "take it out")
    if len(site.edges) <= 2 or len(site.edges) == 2 * len(site.circuits):
        primary, secondary = edges_of(site, override.circuit)
        carried = [
            name for name, edge in (("primary", primary), ("secondary", secondary)) if edge == override.edge
        ]
        if not carried or override.connection not in (None, *carried):
            context.report(
                (*path, "connection" if override.connection else "edge"),
                f"{override.edge} does not carry "
                f"{f'the {override.connection} connection' if override.connection else 'a connection'} "
                f"of circuit {override.circuit}",
                f"the primary ends at {primary}, the secondary at {secondary}",
            )


def _override_tags(context: Context) -> None:
    """One subinterface for each C-tag of a port: an override may not meet the other peering's."""
    if context.problems or context.cut:
        return
    for order in orders_of(context.topology, context.state):
        if not order.site:
            continue
        site = context.topology.sites[order.site]
        for connection in order.connections:
            vlans = [configured(site, order, connection, peering).vlan for peering in order.peerings]
            if len(set(vlans)) == len(vlans):
                continue
            number = next(
                n
                for n, o in enumerate(site.overrides)
                if (o.edge, o.circuit) == (connection.edge, order.name) and o.vlan
            )
            context.report(
                ("sites", order.site, "overrides", number, "vlan"),
                f"{connection.edge} would have C-tag {vlans[0]} for both peerings of circuit {order.name}",
                "use a tag that neither peering has",
            )
            break
