"""The whole lab from a valid topology. Pure; the same topology gives the same model everywhere."""

from __future__ import annotations

from collections.abc import Iterable

from edge.errors import InputError, Problem
from edge.net.objects.base import Endpoint
from lab.model import Circuit, LabModel, Peering
from lab.service.state import State
from lab.topology.check_models import check_of
from lab.topology.direct import build_pairs
from lab.topology.fastpath import served
from lab.topology.links import impaired
from lab.topology.msee import build_msees
from lab.topology.naming import names_of
from lab.topology.orders import CircuitOrder, PeeringOrder, orders_of
from lab.topology.parts import Parts
from lab.topology.provider import build_providers
from lab.topology.provider_edges import build_provider_edges
from lab.topology.public import build_core, build_internet, has_core, has_internet
from lab.topology.reach import build_reaches
from lab.topology.schema import Topology
from lab.topology.sites import build_site, orders_at, site_asn
from lab.topology.vnet_internet import join_vnets_to_internet
from lab.topology.vnets import build_vnets, plan_vnets
from lab.topology.vpn import VpnPlan, number_ends, plan_vpns
from lab.topology.vpn_core import build_vpns


def build(topology: Topology, state: State) -> LabModel:
    """Derive the model from the customer's side of a topology and the service's State.

    Both have passed `rules`; InputError only when two derived names meet.
    """
    orders = orders_of(topology, state)
    vnets = plan_vnets(topology, state)
    core, internet = has_core(state), has_internet(topology)
    parts = Parts()
    vpns = _vpns(topology, state, orders)
    number_ends(parts, vpns)
    for name, site in topology.sites.items():
        build_site(parts, name, site, orders, tuple(plan for plan in vpns if plan.site == name))
    build_provider_edges(parts, topology, orders)
    build_vpns(parts, topology, orders)
    build_providers(parts, orders)
    fast = {order.name: served(topology, state, vnets, order.name) for order in orders}
    build_msees(parts, orders, vnets, state, fast)
    build_pairs(parts, orders)
    build_reaches(parts, state, orders)
    build_vnets(
        parts,
        vnets,
        orders,
        [(plan, site_asn(orders_at(topology.sites[plan.site], orders))) for plan in vpns],
    )
    if core:
        build_core(parts, orders, internet, topology.internet.names)
    if internet:
        build_internet(parts, topology, core, tuple(dict.fromkeys(plan.node for plan in vpns)))
        join_vnets_to_internet(parts, vnets)
    _refuse_collisions(parts)
    model = LabModel(
        name=topology.name,
        nodes=tuple(parts.nodes),
        routers=tuple(parts.routers),
        hosts=tuple(parts.hosts),
        switches=tuple(parts.switches),
        fabrics=tuple(parts.fabrics),
        links=tuple(parts.links),
        circuits=tuple(_circuit(state, order) for order in orders),
        peering_ends=tuple(parts.ends),
        checks=tuple(check_of(spec) for spec in topology.checks),
        document=topology.model_dump(mode="json", by_alias=True),
        state=state,
        names=names_of(topology, core) if internet else None,
    )
    return impaired(model, topology)


def _vpns(topology: Topology, state: State, orders: tuple[CircuitOrder, ...]) -> tuple[VpnPlan, ...]:
    """The tunnels whose both ends are there: a gateway, and at the site a circuit that says the AS number."""
    return tuple(
        plan
        for plan in plan_vpns(topology)
        if plan.vnet in state.vnets
        and state.gateway_of(plan.vnet) is not None
        and any(order.peerings or order.managed for order in orders_at(topology.sites[plan.site], orders)[:1])
    )


def _refuse_collisions(parts: Parts) -> None:
    """Shortened device names meet once in a million pairs of long names; say so instead of failing later."""
    ends = [end for link in parts.links for end in (link.a, link.b)]
    subs = [
        Endpoint(vrf.namespace, sub.name)
        for r in parts.routers
        for vrf in r.vrfs
        for sub in vrf.subinterfaces
    ]
    twice = [
        *_twice(str(end) for end in (*ends, *subs)),
        *_twice(link.name for link in parts.links),
        *_twice(node.name for node in parts.nodes),
    ]
    if twice:
        raise InputError(
            Problem("topology", 0, 0, "", f"two names give the same {name}", "rename one of them")
            for name in twice
        )


def _twice(names: Iterable[str]) -> list[str]:
    seen: set[str] = set()
    found = []
    for name in names:
        if name in seen:
            found.append(name)
        seen.add(name)
    return found


def _circuit(state: State, order: CircuitOrder) -> Circuit:
    ordered = order.ordered
    return Circuit(
        name=ordered.name,
        model=order.model,
        provider=ordered.provider,
        location=ordered.location,
        tier=ordered.tier,
        family=ordered.family,
        bandwidth_bps=order.bandwidth_bps,
        s_tag=ordered.s_tag,
        peerings=tuple(_peering(state, peering) for peering in order.peerings),
    )


def _peering(state: State, order: PeeringOrder) -> Peering:
    ordered = order.ordered
    return Peering(
        name=order.name,
        vlan=ordered.vlan,
        peer_asn=ordered.peer_asn,
        subnets=tuple(network for version in order.versions for network in ordered.links(version)),
        bfd=ordered.bfd,
        advertised_public_prefixes=order.advertised,
        route_filter=state.filters[ordered.route_filter].communities if ordered.route_filter else (),
    )
