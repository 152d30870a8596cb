"""FastPath: data from a circuit goes to the machines of a network straight, the gateway keeps the routes.

Each machine on FastPath is a host route of the MSEEs on the machines' LAN, beside the network's prefix that
the gateway announces and that leads to the gateway (facts 10.1; `FastPathRoutesCountForCircuit`, facts 10.5).
So what the limit leaves out, and what is no machine of the network itself (peered networks), goes by the
gateway; without its announcement customers send nothing at all. The way back is by the gateway (facts 10.1:
"VM -> gateway -> MSEE").
"""

from __future__ import annotations

from ipaddress import ip_network

from edge.model import Address, StaticRoute
from lab.service.packets import fastpath_limit, on_fastpath
from lab.service.resources import Connection
from lab.service.state import State
from lab.service.views import connection_status
from lab.topology import names
from lab.topology.schema import Topology
from lab.topology.vnets import VnetPlan


def limit_of(topology: Topology, state: State, circuit: str) -> int:
    """How many addresses of a circuit's networks skip their gateways: the file's word, else Azure's."""
    spec = topology.circuits.get(circuit)
    if spec is not None and spec.fastpath_addresses is not None:
        return spec.fastpath_addresses
    ordered = state.circuits[circuit]
    return fastpath_limit(ordered, state.ports.get(ordered.port))


def served(
    topology: Topology, state: State, vnets: tuple[VnetPlan, ...], circuit: str
) -> dict[str, tuple[Address, ...]]:
    """Virtual network -> its addresses on FastPath over a circuit.

    The first that came have the room: by the order of the connections, and of the machines in the file.
    """
    plans = [
        (vnet, link) for vnet in vnets if (link := vnet.link_to(circuit)) is not None and _works(state, link)
    ]
    order = {name: number for number, name in enumerate(state.connections)}
    plans.sort(key=lambda item: order[item[1].name])
    wanted = {vnet.name: [one for host in vnet.hosts.values() for one in host] for vnet, _ in plans}
    left = limit_of(topology, state, circuit)
    found = {}
    for name, addresses in wanted.items():
        fast, _ = on_fastpath(addresses, left)
        left -= len(fast)
        found[name] = tuple(one for one in addresses if one in fast)
    return found


def _works(state: State, link: Connection) -> bool:
    return link.fastpath and connection_status(state, link) == "Connected"


def host_routes(vnet: str, addresses: tuple[Address, ...]) -> tuple[StaticRoute, ...]:
    """An MSEE's routes to machines on FastPath."""
    return tuple(StaticRoute(ip_network(one), device=names.fast_device(vnet)) for one in addresses)
