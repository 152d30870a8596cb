"""The turn-out of an impaired device: its frames go to a sink beside it, and come back (csrc/impair.bpf.c).

A sink is a TAP device in the namespace of the device. Neither the link nor what speaks over it notices when a
turn-out begins or ends: two programs are put on the device's egress, or taken off. Everything is held by
descriptors and goes with the process. Where BPF is refused, a filter redirects to the sink; then frames that
come back pass by the queues of the device, so it may have none.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import socket
import struct
import subprocess
from typing import Literal, Protocol

from edge.fastpath import _impair, clsact, mirred
from edge.fastpath import attach as hooks
from edge.fastpath.attach import Attachment, Direction, HookKind, Place
from edge.fastpath.program import Loaded
from edge.net import messages as nl
from edge.net import sysctl
from edge.net.namespaces import inside
from edge.net.netlink import Refusal, RouteSocket
from edge.net.snapshot import parse_link, parse_link_dropped

Way = Literal["bpf", "mirred"]
"""What sends a device's frames to its sink: our programs, or the kernel's redirect where BPF is refused."""

SINK_QUEUE_FRAMES = 4096
"""Frames that wait in the sink for the engine's thread to run; more are dropped by the kernel."""

ROOM_OCTETS = 32
"""Octets of a frame beyond the device's MTU: its Ethernet header and four tags."""

TUN = "/dev/net/tun"
_MODPROBE_DEADLINE_S = 10

_MTU_MAX = 65_521
"""Of a TAP device: 65535 octets less an Ethernet header (the loopback's own MTU is larger)."""

_MARK = 0x0EDBADED
"""EDGE_TURNOUT_MARK: the mark of a frame that comes back."""

_SEND_BUFFER_OCTETS = 16 << 20
"""Frames of ours may wait in the device's queues; these, not our socket, shall say how many."""

_SO_MARK, _SO_SNDBUFFORCE = 36, 32
_SOL_PACKET, _PACKET_QDISC_BYPASS = 263, 20
_IFF_NOARP = 0x80
_IFLA_TXQLEN = 13
_IFINFOMSG = struct.Struct("=BxHiII")


class Ends:
    """The two descriptors of a turn-out before a wire takes them over: `sink` to read, `out` to send.

    frame_octets: the longest frame that comes by the sink.
    """

    def __init__(self, device: str, ifindex: int, sink_ifindex: int, netns_fd: int, way: Way) -> None:
        """Make the sink, up, and the socket. Raises OSError; nothing is left behind then."""
        with RouteSocket(netns_fd) as route:
            mtu = min(_mtu(route, ifindex), _MTU_MAX)
            self.frame_octets = mtu + ROOM_OCTETS
            name = f"sink{ifindex}"
            self.sink = _sink(name, sink_ifindex, netns_fd)
            try:
                _ready(route, name, sink_ifindex, mtu, netns_fd)
                with inside(netns_fd):
                    self.out = _socket(device, way)
            except OSError:
                os.close(self.sink)
                raise

    def close(self) -> None:
        """When no wire took them over."""
        os.close(self.sink)
        os.close(self.out)


def _sink(name: str, ifindex: int, netns_fd: int) -> int:
    with inside(netns_fd):
        fd = int(_impair.lib.edge_sink_open(name.encode(), ifindex))
    if fd in (-errno.ENOENT, -errno.ENODEV) and _load_tun():
        with inside(netns_fd):
            fd = int(_impair.lib.edge_sink_open(name.encode(), ifindex))
    if fd < 0:
        raise OSError(-fd, os.strerror(-fd), TUN)
    return fd


def _load_tun() -> bool:
    """Ask for the module, as the kernel does by itself for other kinds of devices."""
    program = shutil.which("modprobe", path="/usr/sbin:/sbin")
    if program is None:
        return False
    try:
        done = subprocess.run((program, "-q", "tun"), timeout=_MODPROBE_DEADLINE_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def _mtu(route: RouteSocket, ifindex: int) -> int:
    answer = route.ask(nl.get_link_at(ifindex))
    if isinstance(answer, Refusal):
        raise answer.error()
    return parse_link(answer.payload).mtu


def _ready(route: RouteSocket, name: str, ifindex: int, mtu: int, netns_fd: int) -> None:
    """The sink up, with a queue, and silent: it neither asks for neighbours nor speaks IPv6."""
    with inside(netns_fd), contextlib.suppress(FileNotFoundError):
        sysctl.write(f"net/ipv6/conf/{name}/disable_ipv6", "1")
    up = nl.IFF_UP | _IFF_NOARP
    attributes = nl.u32(nl.IFLA_MTU, mtu) + nl.u32(_IFLA_TXQLEN, SINK_QUEUE_FRAMES)
    refused = route.transact(
        [nl.Request(nl.RTM_SETLINK, 0, _IFINFOMSG.pack(0, 0, ifindex, up, up) + attributes)]
    )[0]
    if refused is not None:
        raise refused.error()


def _socket(device: str, way: Way) -> int:
    """A packet socket that sends by `device` and hears nothing.

    Frames bear the mark, by which the programs know them; without programs they pass the filter by.
    """
    kind = socket.SOCK_RAW | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC
    with socket.socket(socket.AF_PACKET, kind, 0) as opened:
        opened.bind((device, 0))
        if way == "bpf":
            opened.setsockopt(socket.SOL_SOCKET, _SO_MARK, _MARK)
        else:
            opened.setsockopt(_SOL_PACKET, _PACKET_QDISC_BYPASS, 1)
        try:
            opened.setsockopt(socket.SOL_SOCKET, _SO_SNDBUFFORCE, _SEND_BUFFER_OCTETS)
        except PermissionError:
            # In a user namespace the system's limit holds.
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER_OCTETS)
        return opened.detach()


class Losses:
    """Frames for which a sink had no room before the engine's thread came to read them."""

    def __init__(self, sink_ifindex: int, netns_fd: int) -> None:
        """Raises OSError."""
        self._ifindex = sink_ifindex
        self._route = RouteSocket(netns_fd)
        self._last = 0

    def count(self) -> int:
        """How many so far; of a sink that has gone, as it was asked last."""
        answer = self._route.ask(nl.get_link_counted(self._ifindex))
        if not isinstance(answer, Refusal):
            self._last = parse_link_dropped(answer.payload)
        return self._last

    def close(self) -> None:
        """Ask no more."""
        self._route.close()


class Turnout(Protocol):
    """What sends a device's frames to its sink."""

    def alive(self) -> bool:
        """Whether it is in place."""

    def end(self) -> None:
        """New frames pass it by; those that come back still do."""

    def close(self) -> None:
        """Take the rest off, too."""


class Mirror:
    """A filter that redirects frames to the sink, for a device without queues where BPF is refused."""

    def __init__(self, ifindex: int, sink_ifindex: int, netns_fd: int) -> None:
        """Put it on the device. Raises OSError; nothing is left behind then."""
        self._ifindex = ifindex
        self._route = RouteSocket(netns_fd)
        self._ended = False
        refused = self._route.transact(
            [clsact.new_qdisc(ifindex), mirred.redirect_all(ifindex, sink_ifindex)]
        )
        self._brought = refused[0] is None
        if refused[1] is not None:
            self.close()
            raise refused[1].error()

    def alive(self) -> bool:
        """Whether the filter is there."""
        try:
            found = self._route.dump(mirred.dump(self._ifindex))
        except OSError:
            return False
        return not self._ended and any(mirred.is_ours(message.payload) for message in found)

    def end(self) -> None:
        """New frames pass the turn-out by; those that come back never met it."""
        if not self._ended:
            self._ended = True
            undo = clsact.delete_qdisc if self._brought else mirred.delete
            self._route.transact([undo(self._ifindex)])

    def close(self) -> None:
        """The same, for good."""
        self.end()
        self._route.close()


class Diversion:
    """The programs that send a device's frames to its sink and let them pass when they come back."""

    def __init__(
        self, kernel: Loaded, ifindex: int, sink_ifindex: int, netns_fd: int, hook: HookKind
    ) -> None:
        """Put them on the device. Raises OSError; nothing is left behind then."""
        self._sinks, self._key = kernel.maps["sinks"], struct.pack("=I", ifindex)
        self._programs = kernel.programs
        with contextlib.ExitStack() as undo:
            self._back = self._attach("impair_back", ifindex, netns_fd, hook, Place.IMPAIR_BACK)
            undo.callback(self._back.close)
            self._sinks.put(self._key, struct.pack("=I", sink_ifindex))
            undo.callback(self._sinks.delete, self._key)
            self._out: Attachment | None = self._attach(
                "impair_out", ifindex, netns_fd, hook, Place.IMPAIR_OUT
            )
            undo.pop_all()

    def _attach(self, program: str, ifindex: int, netns_fd: int, hook: HookKind, place: Place) -> Attachment:
        return hooks.attach(self._programs[program], ifindex, Direction.EGRESS, netns_fd, hook, place)

    def alive(self) -> bool:
        """Whether both programs are in place and the frames go to the sink."""
        return (
            self._out is not None
            and self._out.alive()
            and self._back.alive()
            and self._sinks.get(self._key) is not None
        )

    def end(self) -> None:
        """New frames pass the turn-out by; those that come back still do."""
        if self._out is not None:
            self._out.close()
            self._sinks.delete(self._key)
            self._out = None

    def close(self) -> None:
        """Take the rest off, too."""
        self.end()
        self._back.close()
