"""A ring of namespaces, the same by three ways: our objects, one `ip` per operation, `ip -batch`.

Each namespace has loopback and two devices, `left` and `right`, wired to its neighbours, with an IPv4
address each. A way is run in a forked child with its own network and mounts, and what it made is read
back by `ip` itself, so that no way gets away with less.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Interface
from typing import Any

from edge.errors import CapabilityError, EdgeError
from edge.net.kernel import Kernel
from edge.net.objects.base import Endpoint, KernelObject
from edge.net.objects.devices import AdminUp, Namespace, Veth
from edge.net.objects.routing import DeviceAddress
from lab.plan import diff
from tests.isolation import NETNS_DIRECTORY, isolate

MTU = 1500

State = dict[str, list[list[Any]]]


@dataclass(frozen=True, slots=True)
class Wire:
    """One wire of the ring: its two devices, their MAC addresses and addresses."""

    ends: tuple[Endpoint, Endpoint]
    macs: tuple[str, str]
    addresses: tuple[IPv4Interface, IPv4Interface]


@dataclass(frozen=True, slots=True)
class Ring:
    """The names of the namespaces and the wires between them."""

    namespaces: tuple[str, ...]
    wires: tuple[Wire, ...]


def ring(nodes: int) -> Ring:
    """A ring of so many namespaces, 2 to 250."""
    names = tuple(f"n{number}" for number in range(nodes))
    wires = tuple(
        Wire(
            (Endpoint(names[i], "right"), Endpoint(names[(i + 1) % nodes], "left")),
            (f"02:00:00:00:01:{i:02x}", f"02:00:00:00:02:{i:02x}"),
            (IPv4Interface(f"10.0.{i}.1/30"), IPv4Interface(f"10.0.{i}.2/30")),
        )
        for i in range(nodes)
    )
    return Ring(names, wires)


def objects(wanted: Ring) -> list[KernelObject]:
    """The ring as kernel objects."""
    result: list[KernelObject] = [Namespace(name) for name in wanted.namespaces]
    for wire in wanted.wires:
        result.append(Veth(*wire.ends, MTU, *wire.macs))
        for end, address in zip(wire.ends, wire.addresses, strict=True):
            result += [AdminUp(end), DeviceAddress(end, address)]
    return result


def links(wanted: Ring) -> list[str]:
    """Words for `ip` that make the namespaces and the wires."""
    lines = [f"netns add {name}" for name in wanted.namespaces]
    for wire in wanted.wires:
        (a, b), (mac_a, mac_b) = wire.ends, wire.macs
        lines.append(
            f"link add name {a.device} netns {a.namespace} mtu {MTU} address {mac_a} type veth "
            f"peer name {b.device} netns {b.namespace} mtu {MTU} address {mac_b}"
        )
    return lines


def settings(wanted: Ring) -> dict[str, list[str]]:
    """Namespace -> words for `ip -n` that bring its devices up and address them."""
    lines = {name: ["link set lo up"] for name in wanted.namespaces}
    for wire in wanted.wires:
        for end, address in zip(wire.ends, wire.addresses, strict=True):
            lines[end.namespace] += [
                f"link set {end.device} up",
                f"address add {address} dev {end.device}",
            ]
    return lines


def by_objects(wanted: Ring) -> None:
    """Our way: plan and apply. Raises EdgeError."""
    kernel = Kernel(netns_directory=NETNS_DIRECTORY)
    try:
        for stage in diff(objects(wanted), ()).stages:
            for error in kernel.apply(stage.changes):
                if error is not None:
                    raise error
    finally:
        kernel.close()


def by_ip(wanted: Ring) -> None:
    """One `ip` process for each operation."""
    for words in links(wanted):
        subprocess.run(["ip", *words.split()], check=True)
    for name, lines in settings(wanted).items():
        for words in lines:
            subprocess.run(["ip", "-n", name, *words.split()], check=True)


def by_ip_batch(wanted: Ring) -> None:
    """One `ip -batch` for namespaces and wires, and one for each namespace: a batch cannot change over."""
    subprocess.run(["ip", "-batch", "-"], input="\n".join(links(wanted)), text=True, check=True)
    for name, lines in settings(wanted).items():
        subprocess.run(["ip", "-n", name, "-batch", "-"], input="\n".join(lines), text=True, check=True)


def read_back(names: Sequence[str]) -> State:
    """Namespace -> [device, MTU, MAC, up and wired, IPv4 addresses], as `ip` sees them."""
    state: State = {}
    for name in names:
        shown = subprocess.run(
            ["ip", "-n", name, "-j", "address"], check=True, capture_output=True, text=True
        ).stdout
        state[name] = sorted(
            [
                device["ifname"],
                device["mtu"],
                device["address"],
                {"UP", "LOWER_UP"} <= set(device["flags"]),
                sorted(
                    f"{a['local']}/{a['prefixlen']}" for a in device["addr_info"] if a["family"] == "inet"
                ),
            ]
            for device in json.loads(shown)
        )
    return state


def expected(wanted: Ring) -> State:
    """What `read_back` must give."""
    state: State = {
        name: [["lo", 65536, "00:00:00:00:00:00", True, ["127.0.0.1/8"]]] for name in wanted.namespaces
    }
    for wire in wanted.wires:
        for end, mac, address in zip(wire.ends, wire.macs, wire.addresses, strict=True):
            state[end.namespace].append([end.device, MTU, mac, True, [str(address)]])
    return {name: sorted(devices) for name, devices in state.items()}


def sample(way: Callable[[Ring], None], wanted: Ring) -> float:
    """Seconds that one way takes, in a child set apart. Raises EdgeError when it made something else."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        _in_child(way, wanted, writer)
    os.close(writer)
    with os.fdopen(reader) as answer:
        text = answer.read()
    os.waitpid(child, 0)
    result = json.loads(text) if text else {"error": "the child ended without an answer"}
    if "error" in result:
        raise EdgeError(f"{way.__name__}: {result['error']}")
    return float(result["seconds"])


def _in_child(way: Callable[[Ring], None], wanted: Ring, writer: int) -> None:
    """Run one way and answer as JSON on `writer`; does not return."""
    try:
        isolate()
        start = time.perf_counter()
        way(wanted)
        seconds = time.perf_counter() - start
        same = read_back(wanted.namespaces) == expected(wanted)
        answer: dict[str, Any] = (
            {"seconds": seconds} if same else {"error": "made another lab than asked for"}
        )
    except (EdgeError, OSError, subprocess.CalledProcessError) as error:
        answer = {"error": str(error)}
    with os.fdopen(writer, "w") as pipe:
        json.dump(answer, pipe)
    os._exit(0)


def require_root() -> None:
    """Raises CapabilityError when this process cannot make namespaces."""
    if os.geteuid() != 0:
        raise CapabilityError("the benchmark makes network namespaces, which needs root", "sudo make bench")
