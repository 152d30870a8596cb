"""The whole lab from a valid topology. Pure; the same topology gives the same model everywhere."""

from __future__ import annotations

from collections.abc import Iterable

from edge.errors import InputError, Problem
from edge.net.objects import Endpoint
from lab.model import (
    Check,
    Circuit,
    FrameCheck,
    LabModel,
    PathCheck,
    Peering,
    PingCheck,
    RouteCheck,
    SessionsCheck,
)
from lab.service.services import parse_community, resolve_filter
from lab.topology.check_schema import (
    FrameCheckSpec,
    PathCheckSpec,
    PingCheckSpec,
    RouteCheckSpec,
    SessionsCheckSpec,
)
from lab.topology.links import impaired
from lab.topology.msee import build_msees
from lab.topology.orders import CONNECTIONS, CircuitOrder, PeeringOrder, orders_of
from lab.topology.parts import Parts
from lab.topology.provider import build_providers
from lab.topology.public import build_core, build_internet, has_core, has_internet
from lab.topology.schema import Topology
from lab.topology.sites import build_site
from lab.topology.vnets import build_vnets, plan_vnet

ALL = "all"
"""What `sessions:` says for every circuit."""


def build(topology: Topology) -> LabModel:
    """Derive the model. The topology has passed `rules`; InputError only when two derived names meet."""
    orders = orders_of(topology)
    vnets = tuple(plan_vnet(name, vnet) for name, vnet in topology.vnets.items())
    core, internet = has_core(topology), has_internet(topology)
    parts = Parts()
    for name, site in topology.sites.items():
        build_site(parts, name, site, orders)
    build_providers(parts, orders)
    build_msees(parts, orders, vnets)
    build_vnets(parts, vnets, orders)
    if core:
        build_core(parts, orders, internet)
    if internet:
        build_internet(parts, topology, core)
    _refuse_collisions(parts)
    model = LabModel(
        name=topology.name,
        nodes=tuple(parts.nodes),
        routers=tuple(parts.routers),
        hosts=tuple(parts.hosts),
        switches=tuple(parts.switches),
        fabrics=tuple(parts.fabrics),
        links=tuple(parts.links),
        circuits=tuple(_circuit(order) for order in orders),
        peering_ends=tuple(parts.ends),
        checks=tuple(_check(spec) for spec in topology.checks),
        document=topology.model_dump(mode="json"),
    )
    return impaired(model, topology)


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


def _circuit(order: CircuitOrder) -> Circuit:
    spec = order.spec
    return Circuit(
        name=order.name,
        model=spec.model,
        provider=spec.provider,
        location=spec.location,
        tier=spec.sku.tier,
        family=spec.sku.family,
        bandwidth_bps=order.bandwidth_bps,
        s_tag=order.s_tag,
        peerings=tuple(_peering(peering) for peering in order.peerings),
    )


def _peering(order: PeeringOrder) -> Peering:
    spec = order.microsoft
    return Peering(
        name=order.name,
        vlan=order.spec.vlan,
        peer_asn=order.spec.peer_asn,
        subnets=tuple(
            order.ends[connection, version].customer.network
            for version in order.versions
            for connection in CONNECTIONS
        ),
        bfd=order.spec.bfd,
        advertised_public_prefixes=tuple(spec.advertised_public_prefixes) if spec else (),
        route_filter=resolve_filter(spec.route_filter) if spec else (),
    )


def _check(
    spec: PingCheckSpec | PathCheckSpec | SessionsCheckSpec | RouteCheckSpec | FrameCheckSpec,
) -> Check:
    if isinstance(spec, PingCheckSpec):
        return PingCheck(spec.ping[0], spec.ping[1], spec.family, spec.count)
    if isinstance(spec, PathCheckSpec):
        source, target = spec.path
        return PathCheck(
            source,
            target,
            spec.via,
            spec.peering or "",
            spec.hop or "",
            spec.family,
            spec.protocol,
            spec.port,
            tuple(spec.dscp.items()),
        )
    if isinstance(spec, SessionsCheckSpec):
        circuit = "" if spec.sessions == ALL else spec.sessions
        return SessionsCheck(circuit, spec.peering or "", spec.connection or "", spec.state)
    if isinstance(spec, RouteCheckSpec):
        communities = tuple(c for c in map(parse_community, spec.communities) if c is not None)
        path = None if spec.as_path is None else tuple(spec.as_path)
        return RouteCheck(spec.route[0], spec.route[1], spec.present, path, communities)
    return FrameCheck(spec.frame, tuple(spec.tags), spec.protocol)
