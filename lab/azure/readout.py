"""One reading of a path: what the MSEE's routing domain has at this moment.

Sources: BIRD's control socket for routes and neighbours; the neighbour table and counters of the MSEE's
namespace by a netlink socket inside it; the tag plane's counters, where it makes the tags.
"""

from __future__ import annotations

import socket
from dataclasses import dataclass
from ipaddress import get_mixed_type_key
from typing import Any

from edge.bgp.policy import protocol_name
from edge.bgp.state import ProtocolState, RouteInfo
from edge.model import Session
from edge.net import readings
from edge.net.netlink import NETLINK_ROUTE, RouteSocket
from lab.access import LabAccess
from lab.azure.paths import PeeringPath
from lab.azure.tables import INCOMPLETE, ArpRow, Octets, RouteRow, SummaryRow, route_row, up_down
from lab.model import LabModel

ANSWERED = ("reachable", "stale", "delay", "probe")
"""States of the neighbour table in which somebody has answered (RFC 4861 7.3.2)."""


@dataclass(frozen=True, slots=True)
class Reading:
    """A path at one moment. sessions: those of the routing domain with what BIRD says of them."""

    path: PeeringPath
    arp: tuple[ArpRow, ...]
    octets: Octets
    sessions: tuple[tuple[Session, ProtocolState | None], ...]


def read_path(access: LabAccess, path: PeeringPath, counters: dict[str, Any]) -> Reading:
    """Read now. counters: those of the tag plane, of a status. Raises EdgeError when the lab has gone."""
    with RouteSocket.over(_netlink(access, path.namespace)) as route:
        neighbors = readings.read_neighbors(route)
        traffic = readings.read_traffic(route)
    return Reading(
        path,
        arp_rows(path, traffic, neighbors),
        octets_of(path, traffic, counters),
        _sessions(access, access.model, path),
    )


def _netlink(access: LabAccess, namespace: str) -> socket.socket:
    return access.socket(namespace, socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_ROUTE)


def arp_rows(
    path: PeeringPath, traffic: dict[str, readings.Traffic], neighbors: tuple[readings.Neighbor, ...]
) -> tuple[ArpRow, ...]:
    """The ARP table of the path's link: the customer's end, then Microsoft's. Pure.

    Empty when the MSEE has no such device, which Azure shows as no table at all: the fault is Microsoft's
    then. A customer who was asked for and does not answer is Incomplete; one who was never asked for has
    no row (facts 10.6).
    """
    own = traffic.get(path.device)
    if own is None or path.here is None:
        return ()
    rows = [
        ArpRow(
            _minutes(found.age_s) if found.state in ANSWERED else None,
            "On-Prem",
            str(found.address),
            found.mac if found.state in ANSWERED else INCOMPLETE,
        )
        for found in neighbors
        if found.device == path.device and found.address == path.there
    ]
    return (*rows, ArpRow(0, "Microsoft", str(path.here), own.mac))


def _minutes(seconds: float | None) -> int | None:
    return None if seconds is None else int(seconds // 60)


def octets_of(path: PeeringPath, traffic: dict[str, readings.Traffic], counters: dict[str, Any]) -> Octets:
    """Octets since the path was made. Pure.

    The tag plane's, where it makes the tags: a device that gets its frames by bpf_redirect_peer counts
    none of them before Linux 6.8. Else the device's own.
    """
    at = f"{path.namespace}:{path.device}"
    for item in counters.get("subinterfaces", ()):
        if item["sub"] == at:
            return Octets(item["rx"]["bytes"], item["tx"]["bytes"])
    own = traffic.get(path.device)
    return Octets(own.rx_octets, own.tx_octets) if own is not None else Octets(0, 0)


def _sessions(
    access: LabAccess, model: LabModel, path: PeeringPath
) -> tuple[tuple[Session, ProtocolState | None], ...]:
    states = {state.name: state for state in access.bird(path.namespace).protocols()}
    return tuple(
        (session, states.get(protocol_name(session)))
        for router in model.routers
        for vrf in router.vrfs
        if vrf.namespace == path.namespace
        for session in vrf.sessions
    )


def summary_rows(reading: Reading) -> tuple[SummaryRow, ...]:
    """The BGP neighbours of the routing domain, the customer first. Pure."""
    return tuple(
        SummaryRow(
            str(session.neighbor),
            session.peer_asn,
            up_down(state.uptime_s if state else None),
            str(state.imported) if state and state.established else (state.bgp_state if state else "Idle"),
        )
        for session, state in reading.sessions
    )


def read_routes(access: LabAccess, path: PeeringPath) -> tuple[RouteRow, ...]:
    """The routing domain's routes by prefix, all ways to each, the chosen one first. Raises EdgeError."""
    internal = {
        protocol_name(session)
        for router in access.model.routers
        for vrf in router.vrfs
        if vrf.namespace == path.namespace
        for session in vrf.sessions
        if session.peer_asn == session.local_asn
    }
    routes = sorted(access.bird(path.namespace).routes(), key=lambda route: get_mixed_type_key(route.network))
    return tuple(_row(route, route.protocol in internal) for route in routes)


def _row(route: RouteInfo, internal: bool) -> RouteRow:
    hop = route.next_hops[0].address if route.next_hops else None
    unspecified = "::" if route.network.version == 6 else "0.0.0.0"  # noqa: S104 - how routers print it
    return route_row(
        str(route.network),
        str(hop) if hop is not None else unspecified,
        route.as_path,
        origin=route.origin,
        internal=internal,
        local=not route.origin,
        local_pref=route.local_pref,
    )
