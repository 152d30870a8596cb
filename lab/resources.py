"""The service's resources as rows for people and programs (`edgelab show`). Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from edge.model import Community
from lab.service.resources import Peering
from lab.service.state import State
from lab.service.views import (
    connection_status,
    prefixes_state,
    provisioned_mbps,
    reach_status,
    resiliency,
)

Row = dict[str, Any]


def _circuits(state: State) -> Iterator[Row]:
    for one in state.circuits.values():
        yield {
            "circuit": one.name,
            "over": one.port or one.provider,
            "location": f"{one.location} Metro" if one.metro else one.location,
            "tier": one.tier,
            "family": one.family,
            "mbps": one.bandwidth_mbps,
            "throttle_mbps": one.throttle_mbps or None,
            "s_tag": one.s_tag,
            "state": one.provider_state,
            "resiliency": resiliency(state, one),
            "maintenance": one.maintenance,
            "service_key": one.service_key,
        }


def _peerings(state: State) -> Iterator[Row]:
    for circuit, one in state.peerings():
        yield {
            "circuit": circuit.name,
            "peering": one.name,
            "state": one.state,
            "vlan": one.vlan,
            "peer_asn": one.peer_asn,
            "subnets": [str(network) for network in one.subnets],
            "bfd": one.bfd,
            "filter": one.route_filter,
            "prefixes": prefixes_state(one) if one.microsoft is not None else "",
            "advertised": _advertised(one),
            "written_by": one.written_by,
        }


def _advertised(peering: Peering) -> list[str]:
    config = peering.microsoft
    return [f"{one.prefix} {one.validation}" for one in config.prefixes] if config is not None else []


def _authorizations(state: State) -> Iterator[Row]:
    for circuit in state.circuits.values():
        for one in circuit.authorizations.values():
            yield {
                "circuit": circuit.name,
                "authorization": one.name,
                "use": one.use_status,
                "by": one.used_by,
                "key": one.key,
            }


def _filters(state: State) -> Iterator[Row]:
    for one in state.filters.values():
        yield {
            "filter": one.name,
            "communities": [_community(value) for value in one.communities],
            "circuits": [c.name for c, peering in state.peerings() if peering.route_filter == one.name],
        }


def _vnets(state: State) -> Iterator[Row]:
    for one in state.vnets.values():
        gateway = state.gateway_of(one.name)
        yield {
            "vnet": one.name,
            "region": one.region,
            "address_space": [str(network) for network in one.address_space],
            "community": _community(one.community) if one.community is not None else "",
            "gateway": gateway.name if gateway is not None else "",
            "hub": one.remote_gateway,
        }


def _gateways(state: State) -> Iterator[Row]:
    for one in state.gateways.values():
        yield {
            "gateway": one.name,
            "vnet": one.vnet,
            "sku": one.sku,
            "units": one.units,
            "subnets": [str(network) for network in one.subnets],
            "summaries": [str(network) for network in one.summaries],
            "remote_vnets": one.allow_remote_vnet_traffic,
        }


def _connections(state: State) -> Iterator[Row]:
    for one in state.connections.values():
        yield {
            "connection": one.name,
            "gateway": one.gateway,
            "circuit": one.circuit,
            "state": connection_status(state, one),
            "weight": one.weight,
            "fastpath": one.fastpath,
            "authorization": one.authorization,
            "community": _community(one.community) if one.community is not None else "",
        }


def _reaches(state: State) -> Iterator[Row]:
    for one in state.reaches.values():
        yield {
            "reach": one.name,
            "circuit": one.circuit,
            "peer_circuit": one.peer_circuit,
            "prefixes": [str(network) for network in one.prefixes],
            "state": reach_status(state, one),
        }


def _ports(state: State) -> Iterator[Row]:
    for one in state.ports.values():
        yield {
            "port": one.name,
            "location": one.location,
            "gbps": one.bandwidth_gbps,
            "sold_mbps": provisioned_mbps(state, one.name),
            "encapsulation": one.encapsulation,
            **{link.path: link.admin_state for link in one.links},
            "macsec": [link.path for link in one.links if link.macsec is not None],
            "circuits": [circuit.name for circuit in state.circuits_on(one.name)],
        }


def _community(value: Community) -> str:
    return f"{value[0]}:{value[1]}"


KINDS: dict[str, Callable[[State], Iterator[Row]]] = {
    "circuits": _circuits,
    "peerings": _peerings,
    "authorizations": _authorizations,
    "filters": _filters,
    "vnets": _vnets,
    "gateways": _gateways,
    "connections": _connections,
    "reaches": _reaches,
    "ports": _ports,
}
"""What `edgelab show` lists, and how."""


def rows_of(state: State, kind: str) -> list[Row]:
    """The rows of a kind. Raises KeyError for none of KINDS."""
    return list(KINDS[kind](state))
