"""One router as kernel objects: what each realisation of its tags needs. Pure.

`kernel` uses VLAN devices; `bpf` uses macvlan or veth devices whose tags our programs push and pop, `ring`
veth devices whose tags our engine in user space pushes and pops.
The wire is the same. See DESIGN, "Links and tags".
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator

from edge.bgp.config import render
from edge.ike.objects import daemon_of
from edge.model import (
    TRUNK_MTU,
    Interface,
    LabelSwitch,
    PlainInterface,
    Port,
    PortMacsec,
    PortQueues,
    Router,
    Subinterface,
    Vrf,
)
from edge.net.capabilities import RealisationName
from edge.net.objects.base import Endpoint, KernelObject
from edge.net.objects.daemons import BirdDaemon, MkaDaemon, OwnRouter
from edge.net.objects.devices import (
    AdminUp,
    Bridge,
    BridgePort,
    IpsecTunnel,
    Macsec,
    Macvlan,
    Namespace,
    Sysctl,
    Veth,
    VlanDevice,
)
from edge.net.objects.frames import Marking, Queues, QueueTree, SubinterfaceTags
from edge.net.objects.routing import DeviceAddress, KernelRoute, MplsRoute, Ruleset
from edge.net.rules import NFT_FAMILY, NFT_TABLE, vrf_rules, vrf_xtables
from edge.qos.steering import at_msee_ingress

DEVICE_NAME_MAX = 15
"""Octets of a Linux device name (IFNAMSIZ less its final zero)."""

ROUTER_SYSCTLS = {
    "net/ipv4/ip_forward": "1",
    "net/ipv6/conf/all/forwarding": "1",
    # Azure spreads flows by their 5-tuple (facts 4), and so do edge routers in the field.
    "net/ipv4/fib_multipath_hash_policy": "1",
    "net/ipv6/fib_multipath_hash_policy": "1",
    # A path trace names the interface a packet came in by, also where the way back is another.
    "net/ipv4/icmp_errors_use_inbound_ifaddr": "1",
    # What a BIRD that was killed had open to a peer that is gone would hold the namespace for 100 s.
    "net/ipv4/tcp_orphan_retries": "1",
}

COMMON_SYSCTLS = {
    "net/ipv4/conf/all/rp_filter": "0",
    "net/ipv4/conf/default/rp_filter": "0",
    # A router answers ARP only for the interface it was asked on.
    "net/ipv4/conf/all/arp_ignore": "1",
    "net/ipv4/conf/all/arp_announce": "2",
    # Two routers on one LAN would teach each other's hosts detours that outlive the failure they avoid.
    "net/ipv4/conf/all/accept_redirects": "0",
    "net/ipv4/conf/default/accept_redirects": "0",
    "net/ipv4/conf/all/send_redirects": "0",
    "net/ipv4/conf/default/send_redirects": "0",
    "net/ipv6/conf/all/accept_redirects": "0",
    "net/ipv6/conf/default/accept_redirects": "0",
    # A next hop behind a dead link is no next hop, also for static multipath routes.
    "net/ipv4/conf/all/ignore_routes_with_linkdown": "1",
    "net/ipv6/conf/all/ignore_routes_with_linkdown": "1",
    "net/ipv6/conf/default/ignore_routes_with_linkdown": "1",
    # Addresses survive a link that goes down and comes back.
    "net/ipv6/conf/all/keep_addr_on_down": "1",
    "net/ipv6/conf/default/keep_addr_on_down": "1",
    # Addresses are unique by construction: no two seconds of duplicate address detection.
    "net/ipv6/conf/all/accept_dad": "0",
    "net/ipv6/conf/default/accept_dad": "0",
    "net/ipv6/conf/default/accept_ra": "0",
    # Path traces ask many hops at once; the default answers one probe a second and address.
    "net/ipv4/icmp_ratelimit": "0",
    "net/ipv6/icmp/ratelimit": "0",
}

HOST_SYSCTLS = {
    "net/ipv4/ip_forward": "0",
    "net/ipv4/fib_multipath_hash_policy": "1",
    "net/ipv6/fib_multipath_hash_policy": "1",
}

LABELS_MAX = 65535
"""Highest label: the kernel keeps a table of as many entries for each namespace that routes them."""

LABEL_SYSCTLS = {
    # The core is one hop to its customers: a P router could not tell them that a packet's time is over.
    "net/mpls/ip_ttl_propagate": "0",
}

LAYER2_SYSCTLS = {"net/ipv6/conf/all/disable_ipv6": "1", "net/ipv6/conf/default/disable_ipv6": "1"}
"""For namespaces that only switch frames: their devices must not speak."""


def mac_of(endpoint: Endpoint) -> str:
    """A stable, locally administered unicast MAC address for a device, from its name alone."""
    digest = hashlib.sha256(str(endpoint).encode()).digest()
    return ":".join(f"{octet:02x}" for octet in (0x02, *digest[:5]))


def device_name(name: str) -> str:
    """`name` if it fits a device name, else its beginning and four hexadecimal digits of its hash."""
    if len(name) <= DEVICE_NAME_MAX:
        return name
    return f"{name[: DEVICE_NAME_MAX - 5]}-{hashlib.sha256(name.encode()).hexdigest()[:4]}"


def sysctls(namespace: str, *groups: dict[str, str]) -> Iterator[Sysctl]:
    """The values of `groups` as objects of one namespace."""
    for group in groups:
        for name, value in group.items():
            yield Sysctl(namespace, name, value)


def objects(router: Router, realisation: RealisationName) -> tuple[KernelObject, ...]:
    """All kernel objects of a router, except the wires its ports and plain interfaces end."""
    return tuple(_objects(router, realisation))


def _objects(router: Router, realisation: RealisationName) -> Iterator[KernelObject]:
    shared = {vrf.namespace for vrf in router.vrfs}
    if router.labels is not None:
        yield from _label_switch(router, router.labels)
    elif router.namespace not in shared:
        yield Namespace(router.namespace)
        yield from sysctls(router.namespace, LAYER2_SYSCTLS)
    for port in router.ports:
        if router.namespace in shared:
            yield from _mute(Endpoint(router.namespace, port.name))
        if port.macsec is not None:
            if router.namespace in shared:
                yield from _mute(Endpoint(router.namespace, port.macsec.wire))
            yield from secured(Endpoint(router.namespace, port.name), port.macsec, port.mtu)
        yield from _port_queues(router, port, realisation)
        yield AdminUp(Endpoint(router.namespace, port.name))
    outer_devices: dict[Endpoint, VlanDevice] = {}
    for vrf in router.vrfs:
        yield Namespace(vrf.namespace)
        yield from sysctls(vrf.namespace, ROUTER_SYSCTLS, COMMON_SYSCTLS)
        for subinterface in vrf.subinterfaces:
            if realisation == "kernel":
                yield from _vlan_devices(router, vrf, subinterface, outer_devices)
            else:
                yield from _tagged_devices(router, vrf, subinterface, realisation)
            yield from _markings(router, vrf, subinterface, realisation)
        for tunnel in vrf.tunnels:
            yield IpsecTunnel(
                Endpoint(vrf.namespace, tunnel.name),
                tunnel.local,
                tunnel.remote,
                tunnel.number,
                tunnel.spi_out,
                tunnel.spi_in,
                tunnel.key_out,
                tunnel.key_in,
                tunnel.mtu,
            )
        keys = daemon_of(vrf)
        if keys is not None:
            yield keys
        interfaces: tuple[Subinterface | PlainInterface, ...] = (*vrf.subinterfaces, *vrf.interfaces)
        for interface in interfaces:
            at = Endpoint(vrf.namespace, interface.name)
            if isinstance(interface, PlainInterface) and interface.lower:
                yield from _limited(at, interface)
            yield AdminUp(at)
            for address in interface.addresses:
                yield DeviceAddress(at, address)
        if vrf.paths:
            yield from sysctls(vrf.namespace, LABEL_SYSCTLS)
        for route in vrf.routes:
            yield KernelRoute(vrf.namespace, route.destination, route.via, route.metric, route.device)
        rules = vrf_rules(vrf)
        if rules:
            yield Ruleset(vrf.namespace, NFT_FAMILY, NFT_TABLE, rules, vrf_xtables(vrf))
        if vrf.own is not None:
            yield OwnRouter(vrf.namespace, vrf.own.kind, vrf.own.config, vrf.own.file)
        elif vrf.sessions:
            yield BirdDaemon(vrf.namespace, render(vrf))
    for device in outer_devices.values():
        yield device
        yield AdminUp(device.at)


def _label_switch(router: Router, switch: LabelSwitch) -> Iterator[KernelObject]:
    """Labels are taken on ports and from VRFs; the namespace has addresses for its neighbours' ARP only."""
    space = router.namespace
    yield Namespace(space)
    yield from sysctls(
        space, COMMON_SYSCTLS, LABEL_SYSCTLS, {"net/mpls/platform_labels": str(LABELS_MAX + 1)}
    )
    for interface in switch.interfaces:
        yield from _labelled(Endpoint(space, interface.name), interface.addresses)
    for port in switch.vrfs:
        at, inner = Endpoint(space, port.device), Endpoint(port.namespace, port.vrf_device)
        yield Veth(at, inner, TRUNK_MTU, mac_of(at), mac_of(inner))
        yield AdminUp(at)
        yield from _labelled(at, port.addresses)
    for route in switch.routes:
        yield MplsRoute(space, route.label, route.out, route.via, route.device)


def _labelled(at: Endpoint, addresses: Iterable[Interface]) -> Iterator[KernelObject]:
    yield Sysctl(at.namespace, f"net/mpls/conf/{at.device}/input", "1")
    for address in addresses:
        yield DeviceAddress(at, address)


def secured(at: Endpoint, keys: PortMacsec, mtu: int) -> Iterator[KernelObject]:
    """A port with MACsec on its wire, and who agrees on its keys."""
    wire = Endpoint(at.namespace, keys.wire)
    yield Macsec(at, keys.wire, mtu, mac_of(wire))
    yield AdminUp(wire)
    yield MkaDaemon(wire, keys.ckn, keys.cak, keys.priority)


def _limited(at: Endpoint, interface: PlainInterface) -> Iterator[KernelObject]:
    """An interface whose MTU is that of what it sends alone: a bridge over the wire's end.

    A veth drops what is longer than its own MTU where it arrives, and nobody is told. A bridge looks at the
    MTU of what leaves through it only, so that the router itself refuses longer packets, and says so.
    """
    lower = Endpoint(at.namespace, interface.lower)
    yield Bridge(at, interface.mtu, mac_of(at))
    yield from _mute(lower)
    yield BridgePort(lower, at.device)
    yield AdminUp(lower)


def _mute(at: Endpoint) -> Iterator[Sysctl]:
    """A device beside those that speak IP carries frames only: what comes in there is not for this router.

    Without an address nothing passes the strict check of the way back; ARP answers for own addresses only.
    """
    yield Sysctl(at.namespace, f"net/ipv6/conf/{at.device}/disable_ipv6", "1")
    yield Sysctl(at.namespace, f"net/ipv4/conf/{at.device}/rp_filter", "1")


def _port_queues(router: Router, port: Port, realisation: RealisationName) -> Iterator[KernelObject]:
    """Queues of a port, and the markings that steer into them what came from other namespaces.

    VLAN devices keep skb->priority on the way from their namespace to the port's: with them the subinterfaces
    steer.
    """
    at = Endpoint(router.namespace, port.name)
    if port.queues:
        trees = (QueueTree(item.number, item.rate_bps, item.classes) for item in port.queues)
        yield Queues(at, tuple(trees))
    if realisation == "kernel":
        return
    for item in port.queues:
        for one in item.steering:
            yield Marking(at, "egress", one.policy, "in", "steer", item.outer, item.number, inner=one.inner)


def _markings(
    router: Router, vrf: Vrf, subinterface: Subinterface, realisation: RealisationName
) -> Iterator[Marking]:
    at = Endpoint(vrf.namespace, subinterface.name)
    qos, knob = subinterface.qos, subinterface.unknown_dscp
    queues = _queues_of(router, subinterface) if realisation == "kernel" else None
    if qos is not None:
        # A tree of the port has the classes of its own policy: another one's queues would be others.
        fits = queues is not None and queues.classes == qos.policy.classes
        tree = queues.number if queues is not None and fits else qos.tree
        yield Marking(at, "egress", qos.policy, qos.towards, qos.treatment, tree=tree)
    elif queues is not None:
        # The subinterface's own tag is the one below the port's outer tag, if it has one below.
        for one in (item for item in queues.steering if item.inner in (None, subinterface.tags[-1])):
            yield Marking(at, "egress", one.policy, "in", "steer", tree=queues.number)
    if knob is not None:
        yield Marking(at, "ingress", at_msee_ingress(knob), "out", "mark", msee=knob)


def _queues_of(router: Router, subinterface: Subinterface) -> PortQueues | None:
    """The queues of the circuit that a subinterface belongs to, if its port has some for it."""
    queues = (item for port in router.ports if port.name == subinterface.port for item in port.queues)
    return next((item for item in queues if item.outer in (None, *subinterface.tags[:1])), None)


def _mac(router: Router, vrf: Vrf, subinterface: Subinterface) -> str:
    """An MSEE shows one MAC for all peerings of a path (facts 10.6); a CE one per subinterface.

    A macvlan cannot take the address of the port it shares a namespace with, hence the difference.
    """
    if subinterface.mac:
        return subinterface.mac
    if vrf.namespace != router.namespace:
        return mac_of(Endpoint(router.namespace, subinterface.port))
    return mac_of(Endpoint(vrf.namespace, subinterface.name))


def _tagged_devices(
    router: Router, vrf: Vrf, subinterface: Subinterface, realisation: RealisationName
) -> Iterator[KernelObject]:
    sub = Endpoint(vrf.namespace, subinterface.name)
    port = Endpoint(router.namespace, subinterface.port)
    mac = _mac(router, vrf, subinterface)
    if vrf.namespace == router.namespace and realisation == "bpf":
        yield Macvlan(sub, lower=port.device, mtu=subinterface.mtu, mac=mac)
        yield SubinterfaceTags(sub, port, subinterface.tags)
        return
    inner = Endpoint(router.namespace, subinterface.name)
    if inner == sub:
        # `ring` needs a veth here, too, beside the router's own devices.
        inner = Endpoint(router.namespace, device_name(f"{subinterface.name}-in"))
        yield from _mute(inner)
    yield Veth(sub, inner, mtu=subinterface.mtu, mac_a=mac, mac_b=mac_of(inner))
    yield SubinterfaceTags(sub, port, subinterface.tags, inner=inner)
    yield AdminUp(inner)


def _vlan_devices(
    router: Router, vrf: Vrf, subinterface: Subinterface, outer_devices: dict[Endpoint, VlanDevice]
) -> Iterator[KernelObject]:
    lower = Endpoint(router.namespace, subinterface.port)
    for tag in subinterface.tags[:-1]:
        at = Endpoint(lower.namespace, device_name(f"{lower.device}s{tag.vid}"))
        outer_devices.setdefault(
            at, VlanDevice(at, lower, tag.vid, tag.tpid, mtu=subinterface.mtu + 4, mac=mac_of(lower))
        )
        lower = at
    tag = subinterface.tags[-1]
    sub = Endpoint(vrf.namespace, subinterface.name)
    yield VlanDevice(sub, lower, tag.vid, tag.tpid, subinterface.mtu, _mac(router, vrf, subinterface))
