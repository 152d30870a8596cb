"""A derived lab as kernel objects, for one realisation of its tags. Pure."""

from __future__ import annotations

import itertools
from collections.abc import Generator, Iterator

from edge import router
from edge.model import IP_MTU, TRUNK_MTU, TagStack
from edge.net.capabilities import RealisationName
from edge.net.objects.base import Endpoint, KernelObject
from edge.net.objects.devices import MACSEC_OCTETS, AdminUp, Bridge, BridgePort, Namespace, Veth, VlanDevice
from edge.net.objects.frames import RateLimit, VirtualCircuit
from edge.net.objects.routing import DeviceAddress, KernelRoute
from edge.router import device_name, mac_of, sysctls
from lab.faults.faulted import faulted
from lab.faults.objects import harmed
from lab.model import Fabric, Host, LabModel, Link, Switch
from lab.names import objects as names

TAG_OCTETS = 4
"""Length of an 802.1Q or 802.1ad tag in a frame."""


def compile_lab(model: LabModel, realisation: RealisationName) -> tuple[KernelObject, ...]:
    """Every object of the lab as its faults leave it, each once, in the order of the model.

    Raises ValueError when two objects claim one key: the derivation gave two things one name.
    """
    objects: dict[tuple[str, ...], KernelObject] = {}
    real = faulted(model)
    for item in harmed(_all(real, realisation), real.down, real.halted):
        known = objects.setdefault(item.key, item)
        if known != item:
            raise ValueError(f"two different objects are called {item}: {known!r} and {item!r}")
    return tuple(objects.values())


def _all(model: LabModel, realisation: RealisationName) -> Iterator[KernelObject]:
    for link in model.links:
        yield _wire(link)
    for item in model.routers:
        yield from router.objects(item, realisation)
    for host in model.hosts:
        yield from _host(host)
    for switch in model.switches:
        yield from _switch(switch)
    for fabric in model.fabrics:
        yield from _fabric(fabric, realisation)
    for impaired in model.impairments:
        yield impaired.impairment
    if model.names is not None:
        yield from names.objects(model.names)


def _wire(link: Link) -> Veth:
    mtu = TRUNK_MTU if link.trunk else IP_MTU
    if link.macsec:
        mtu += MACSEC_OCTETS
    return Veth(link.a, link.b, mtu, mac_of(link.a), mac_of(link.b))


def _host(host: Host) -> Iterator[KernelObject]:
    yield Namespace(host.namespace)
    yield from sysctls(host.namespace, router.COMMON_SYSCTLS, router.HOST_SYSCTLS)
    for interface in host.interfaces:
        at = Endpoint(host.namespace, interface.name)
        yield AdminUp(at)
        for address in interface.addresses:
            yield DeviceAddress(at, address)
    for route in host.routes:
        yield KernelRoute(host.namespace, route.destination, route.via, route.metric, route.device)


def _switch(switch: Switch) -> Iterator[KernelObject]:
    yield Namespace(switch.namespace)
    yield from sysctls(switch.namespace, router.LAYER2_SYSCTLS)
    for name, ports in switch.bridges:
        bridge = Endpoint(switch.namespace, name)
        yield Bridge(bridge, IP_MTU, mac_of(bridge))
        yield AdminUp(bridge)
        for port in ports:
            at = Endpoint(switch.namespace, port)
            yield BridgePort(at, name)
            yield AdminUp(at)


def _fabric(fabric: Fabric, realisation: RealisationName) -> Iterator[KernelObject]:
    yield Namespace(fabric.namespace)
    yield from sysctls(fabric.namespace, router.LAYER2_SYSCTLS)
    for name, keys in fabric.macsec:
        yield from router.secured(Endpoint(fabric.namespace, name), keys, TRUNK_MTU)
    follows = dict(fabric.follows)
    for port in fabric.ports:
        yield AdminUp(Endpoint(fabric.namespace, port), follows.get(port, ""))
    for circuit in fabric.circuits:
        if realisation in ("bpf", "ring"):
            yield circuit
        else:
            yield from _bridged_circuit(circuit, fabric.circuits)


def _bridged_circuit(circuit: VirtualCircuit, others: tuple[VirtualCircuit, ...]) -> Iterator[KernelObject]:
    """The same cross-connection from VLAN devices: both ends' stacks are ports of one bridge.

    What those who share a policer send leaves by one device: the last that their stacks have in common.
    """
    bridge = Endpoint(circuit.namespace, device_name(f"vc-{circuit.name}"))
    yield Bridge(bridge, TRUNK_MTU, mac_of(bridge))
    yield AdminUp(bridge)
    sharers = [circuit, *(item for item in others if circuit.policer and item.policer == circuit.policer)]
    for ends in (
        [(item.port_a, item.tags_a) for item in sharers],
        [(item.port_b, item.tags_b) for item in sharers],
    ):
        port, tags = ends[0]
        devices = yield from _stack(Endpoint(circuit.namespace, port), tags)
        yield BridgePort(devices[-1], bridge.device)
        if circuit.rate_bps is not None:
            shared = devices[_in_common([stack for _, stack in ends])]
            yield RateLimit(shared, circuit.rate_bps // 8 * 8, overhead_octets=TAG_OCTETS * len(tags))


def _in_common(stacks: list[TagStack]) -> int:
    """How many of the outermost tags all stacks have."""
    same = (len(set(tags)) == 1 for tags in zip(*stacks, strict=False))
    return sum(1 for _ in itertools.takewhile(bool, same))


def _stack(port: Endpoint, tags: TagStack) -> Generator[KernelObject, None, list[Endpoint]]:
    """The devices of a tag stack: the port, then one for each tag, the last of which carries bare frames."""
    devices = [port]
    for tag in tags:
        lower = devices[-1]
        at = Endpoint(port.namespace, device_name(f"{lower.device}s{tag.vid}"))
        yield VlanDevice(at, lower, tag.vid, tag.tpid, TRUNK_MTU - 4, mac_of(port))
        yield AdminUp(at)
        devices.append(at)
    return devices
