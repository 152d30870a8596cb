"""Nameless namespaces, wires and subinterfaces for the tests of the fast path.

A namespace lives by an open descriptor only, so nothing is left when a test, or pytest itself, dies.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import socket
import struct
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from edge.fastpath.tagplane import TagPlane
from edge.model import Tag, TagStack
from edge.net import messages as nl
from edge.net.namespaces import inside, scratch_namespace
from edge.net.netlink import RouteSocket
from edge.net.objects.base import Endpoint
from edge.net.objects.frames import SubinterfaceTags, VirtualCircuit
from tests.waiting import wait_until

SOL_PACKET, PACKET_AUXDATA = 263, 8
ETH_P_ALL = 0x0003
DEADLINE_S = 5.0
IFINFOMSG_OCTETS, IFLA_OPERSTATE, IF_OPER_UP = 16, 16, b"\x06"


@dataclass
class Net:
    """A namespace and the label it has in objects."""

    name: str
    fd: int

    def run(self, *command: str, text: str = "") -> str:
        """Run a program inside; its output."""
        with inside(self.fd):
            done = subprocess.run(command, input=text, capture_output=True, text=True)
        assert done.returncode == 0, f"{' '.join(command)} in {self.name}:\n{text}{done.stdout}{done.stderr}"
        return done.stdout

    def ip(self, *lines: str) -> None:
        """Run `ip -batch`."""
        self.run("ip", "-batch", "-", text="\n".join(lines) + "\n")

    def socket(self, *arguments: int) -> socket.socket:
        """A socket in the namespace, with a deadline."""
        with inside(self.fd):
            made = socket.socket(*arguments)
        made.settimeout(DEADLINE_S)
        return made

    def at(self, device: str) -> Endpoint:
        """The device as objects name it."""
        return Endpoint(self.name, device)


@dataclass(frozen=True)
class Seen:
    """A frame as a raw reader got it: the tag in metadata, and the bytes without it."""

    tpid: int
    tci: int
    data: bytes

    @property
    def wire(self) -> bytes:
        """The bytes as the wire carried them."""
        tag = struct.pack("!HH", self.tpid, self.tci) if self.tpid else b""
        return self.data[:12] + tag + self.data[12:]


@dataclass
class Tap:
    """A raw reader on a device, with PACKET_AUXDATA."""

    sock: socket.socket

    def frames(self) -> Iterator[Seen]:
        """Frames that come in, until none came for the socket's timeout (0: what is there already)."""
        while True:
            try:
                data, control, _flags, address = self.sock.recvmsg(65536, 256)
            except (TimeoutError, BlockingIOError):
                return
            if address[2] == socket.PACKET_OUTGOING:
                continue
            tpid = tci = 0
            for level, kind, value in control:
                if (level, kind) == (SOL_PACKET, PACKET_AUXDATA):
                    status, _len, _snap, _mac, _net, vlan_tci, vlan_tpid = struct.unpack(
                        "=IIIHHHH", value[:20]
                    )
                    if status & 0x10:
                        tpid, tci = (vlan_tpid if status & 0x40 else 0x8100), vlan_tci
            yield Seen(tpid, tci, data)

    def first(self, wanted: Callable[[Seen], bool]) -> Seen:
        """The first frame that matches, within the deadline."""
        for frame in self.frames():
            if wanted(frame):
                return frame
        pytest.fail(f"no such frame within {DEADLINE_S} s")


@dataclass
class Bench:
    """A tag plane and the namespaces it works in."""

    plane: TagPlane
    stack: contextlib.ExitStack
    indexes: Iterator[int] = field(default_factory=lambda: itertools.count(100))

    def net(self, name: str) -> Net:
        """A new namespace with its loopback up."""
        net = Net(name, self.stack.enter_context(scratch_namespace()))
        net.ip("link set lo up")
        return net

    def wire(self, a: Net, b: Net, device: str = "t0", mtu: int = 1508) -> tuple[int, int]:
        """A trunk between two namespaces, up and without IPv6 of its own, named the same on both sides."""
        at_a, at_b = next(self.indexes), next(self.indexes)
        a.run(
            *f"ip link add {device} index {at_a} mtu {mtu} type veth".split(),
            *f"peer name {device} index {at_b} mtu {mtu} netns /proc/{os.getpid()}/fd/{b.fd}".split(),
        )
        for net in (a, b):
            with inside(net.fd):
                Path(f"/proc/sys/net/ipv6/conf/{device}/disable_ipv6").write_text("1")
            net.ip(f"link set {device} up")
        # Until the kernel's linkwatch has run, a device drops what it is given.
        wait_until(lambda: is_up(a, at_a) and is_up(b, at_b), f"{device} to pass frames")
        return at_a, at_b

    def ifindex(self, net: Net, device: str) -> int:
        """The index of a device."""
        with inside(net.fd):
            return socket.if_nametoindex(device)

    def macvlan(self, net: Net, port: str, device: str, tags: TagStack, *addresses: str) -> SubinterfaceTags:
        """A subinterface beside its port."""
        index = next(self.indexes)
        net.ip(f"link add link {port} name {device} index {index} mtu 1500 type macvlan mode source")
        obj = SubinterfaceTags(net.at(device), net.at(port), tags)
        self.plane.add_subinterface(obj, sub=index, port=self.ifindex(net, port), inner=None, netns_fd=net.fd)
        self.addresses(net, device, *addresses)
        return obj

    def vrf(
        self, net: Net, vrf: Net, port: str, device: str, tags: TagStack, *addresses: str
    ) -> SubinterfaceTags:
        """A subinterface in a namespace of its own, by a veth."""
        inner, sub = next(self.indexes), next(self.indexes)
        net.run(
            *f"ip link add {device}-in index {inner} mtu 1500 type veth".split(),
            *f"peer name {device} index {sub} mtu 1500 netns /proc/{os.getpid()}/fd/{vrf.fd}".split(),
        )
        net.ip(f"link set {device}-in up")
        obj = SubinterfaceTags(vrf.at(device), net.at(port), tags, inner=net.at(f"{device}-in"))
        self.plane.add_subinterface(obj, sub=sub, port=self.ifindex(net, port), inner=inner, netns_fd=net.fd)
        self.addresses(vrf, device, *addresses)
        return obj

    def addresses(self, net: Net, device: str, *addresses: str) -> None:
        """Bring a device up with its addresses; without any it stays down and silent."""
        if not addresses:
            return
        net.ip(f"link set {device} up", *(f"address add {a} dev {device} nodad" for a in addresses))

    def circuit(
        self,
        net: Net,
        a: tuple[str, TagStack],
        b: tuple[str, TagStack],
        rate_bps: int | None = None,
        name: str = "vc",
        policer: str = "",
    ) -> VirtualCircuit:
        """A virtual circuit between two ports of a namespace."""
        obj = VirtualCircuit(net.name, name, a[0], a[1], b[0], b[1], rate_bps, policer)
        ports = {"port_a": self.ifindex(net, a[0]), "port_b": self.ifindex(net, b[0])}
        self.plane.add_circuit(obj, **ports, netns_fd=net.fd)
        return obj

    def tap(self, net: Net, device: str) -> Tap:
        """Read what comes in at a device, from now on."""
        sock = self.stack.enter_context(net.socket(socket.AF_PACKET, socket.SOCK_RAW, 0))
        sock.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
        sock.bind((device, ETH_P_ALL))
        return Tap(sock)

    def send(self, net: Net, device: str, frame: bytes, count: int = 1) -> None:
        """Put frames on a device as they are."""
        with net.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as sock:
            sock.bind((device, 0))
            for _ in range(count):
                sock.send(frame)

    def echo(self, source: Net, target: Net, address: str, size: int = 32, port: int = 4000) -> bytes:
        """Send one UDP datagram of `size` octets and return what arrived."""
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        with (
            target.socket(family, socket.SOCK_DGRAM) as receiver,
            source.socket(family, socket.SOCK_DGRAM) as s,
        ):
            receiver.bind(("", port))
            s.sendto(os.urandom(size), (address, port))
            return receiver.recv(65536)


def is_up(net: Net, index: int) -> bool:
    """Whether the kernel calls a device up, by IFLA_OPERSTATE (RFC 2863, ifOperStatus)."""
    with RouteSocket(net.fd) as route:
        link = route.ask(nl.get_link_counted(index))
    assert isinstance(link, nl.Message), link
    return nl.attributes(link.payload, IFINFOMSG_OCTETS)[IFLA_OPERSTATE] == IF_OPER_UP


def hears(source: Net, target: Net, address: str, within_s: float) -> bool:
    """Whether a UDP datagram gets from `source` to the IPv4 `address` of `target`."""
    with (
        target.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver,
        source.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender,
    ):
        receiver.settimeout(within_s)
        receiver.bind(("", 4000))
        sender.sendto(b"hear me", (address, 4000))
        try:
            return receiver.recv(10) == b"hear me"
        except TimeoutError:
            return False


def tags(*vids: int, outer: int = 0x8100) -> TagStack:
    """A stack of VLAN ids; `outer` is the ethertype of the outermost of several."""
    return tuple(Tag(vid, outer if i == 0 and len(vids) > 1 else 0x8100) for i, vid in enumerate(vids))


@pytest.fixture
def bench() -> Iterator[Bench]:
    """A tag plane on this kernel's own hook (tcx or clsact)."""
    reason = TagPlane.probe()
    if reason is not None:
        pytest.skip(reason)
    with contextlib.ExitStack() as stack:
        plane = TagPlane()
        stack.callback(plane.close)
        yield Bench(plane, stack)


@pytest.fixture
def clsact_bench() -> Iterator[Bench]:
    """A tag plane on clsact, as on kernels before 6.6."""
    reason = TagPlane.probe("clsact")
    if reason is not None:
        pytest.skip(reason)
    with contextlib.ExitStack() as stack:
        plane = TagPlane("clsact")
        stack.callback(plane.close)
        yield Bench(plane, stack)
