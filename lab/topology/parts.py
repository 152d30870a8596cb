"""The lab while it is being derived: what each module adds to, and a few wires that many need."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from edge.model import Address, Bfd, Network, Router, StaticRoute, Timers, Vrf
from edge.net.objects.base import Endpoint
from lab.model import Fabric, Host, HostInterface, Link, Node, NodeKind, PeeringEnd, Switch, Tier
from lab.topology import names
from lab.topology.addresses import Numbering, default_route, network_of, within

BFD = Bfd()
"""BFD as an MSEE has it, 300 ms x 3 (facts 4); the customer's edges use the same."""

INTERNAL_TIMERS = Timers(keepalive_s=20, hold_s=60)
"""Between MSEE and gateway there is no BFD and convergence may take up to a minute (facts 4)."""


@dataclass(slots=True)
class Parts:
    """Everything derived so far, in the order of the file."""

    numbering: Numbering = field(default_factory=Numbering)
    nodes: list[Node] = field(default_factory=list)
    routers: list[Router] = field(default_factory=list)
    hosts: list[Host] = field(default_factory=list)
    switches: list[Switch] = field(default_factory=list)
    fabrics: list[Fabric] = field(default_factory=list)
    links: list[Link] = field(default_factory=list)
    ends: list[PeeringEnd] = field(default_factory=list)

    def node(self, name: str, kind: NodeKind, tier: Tier, namespaces: Iterable[str] = ()) -> None:
        """A node whose own namespace has its name, with more namespaces if it has VRFs in them."""
        self.nodes.append(Node(name, kind, tier, (name, *namespaces)))

    def router(self, router: Router, kind: NodeKind, tier: Tier) -> None:
        """A router and its node."""
        self.routers.append(router)
        self.node(
            router.name, kind, tier, [v.namespace for v in router.vrfs if v.namespace != router.namespace]
        )

    def vrf(self, namespace: str) -> Vrf:
        """The VRF in that namespace. Raises StopIteration when no router has one there yet."""
        return next(vrf for router in self.routers for vrf in router.vrfs if vrf.namespace == namespace)

    def put(self, vrf: Vrf) -> None:
        """Put a VRF into the place of the one in its namespace."""
        self.routers = [
            replace(one, vrfs=tuple(vrf if old.namespace == vrf.namespace else old for old in one.vrfs))
            for one in self.routers
        ]

    def link(self, name: str, a: tuple[str, str], b: tuple[str, str]) -> None:
        """An untagged wire between two (namespace, device)."""
        self.links.append(Link(name, Endpoint(*a), Endpoint(*b)))

    def host(
        self,
        name: str,
        tier: Tier,
        addresses: Iterable[Address],
        networks: Iterable[Network],
        gateways: Iterable[Address],
    ) -> None:
        """A host with one interface: addresses in `networks`, a default route over its gateways.

        Each IP version that the host has uses the gateways of that version, all at once (ECMP); of
        several networks of a version only gateways that share one with the host are used.
        """
        known = tuple(networks)
        interfaces = []
        for address in addresses:
            network = network_of(address, known)
            if network is None:
                raise ValueError(f"{name}: {address} lies in no network of its LAN")
            interfaces.append(within(address, network))
        routes = []
        for version in (4, 6):
            own = [interface.network for interface in interfaces if interface.version == version]
            via = tuple(g for g in gateways if g.version == version and network_of(g, own) is not None)
            if via:
                routes.append(StaticRoute(default_route(version), via))
        interface = HostInterface(names.HOST_DEVICE, tuple(interfaces))
        self.hosts.append(Host(name, name, (interface,), tuple(routes)))
        self.node(name, "host", tier)
