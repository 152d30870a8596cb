"""The ring engine as a process: started, asked, watched, ended (csrc/ring.h says what it does).

It is a child that runs C only, so a defect there costs the tags of a lab until it is started again, never the
process that started it. It ends when its control socket is closed, which the kernel does when that process
dies, kill -9 included. Sockets and policies go over the control socket as descriptors.
"""

from __future__ import annotations

import contextlib
import enum
import errno
import mmap
import os
import select
import signal
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from edge.errors import CapabilityError
from edge.fastpath.layout import Stats

DEADLINE_S = 5.0
"""How long the engine may take to answer; it does so between two batches of frames, so in microseconds."""

PORTS = 1024
SLOTS = 4096
COUNTERS = 16384
"""Of markings: one for each rule, and one for none (EDGE_MARK_COUNTERS_MAX)."""
PLACES = 512
"""Of trees of queues, and of impairments (EDGE_RING_PLACES)."""
QUEUES_IN_TREE = 16
_RULES, _UNKNOWN = 4096, 1024
_KEY_OCTETS, _RULE_OCTETS, _SUBINTERFACE_OCTETS, _STATS_OCTETS, _MARKED_OCTETS = 12, 72, 20, 32, 40
_BUCKET_OCTETS, _CLASSES = 32, 5
_POLICER_OCTETS = _BUCKET_OCTETS + _CLASSES * _STATS_OCTETS
_HEAD = struct.Struct("=II")
_ANSWER = struct.Struct("=i")


Settings = dict[str, Any]
"""Fields of a struct by name."""


class Op(enum.IntEnum):
    """What the engine can be asked (enum edge_ring_op)."""

    PORT_ADD = 1
    PORT_RENEW = 2
    PORT_REMOVE = 3
    RULE_PUT = 4
    RULE_CHANGE = 5
    RULE_DELETE = 6
    SUBINTERFACE_PUT = 7
    SUBINTERFACE_DELETE = 8
    SLOT_CLEAR = 9
    MARK_PUT = 10
    MARK_DELETE = 11
    TREE_PUT = 12
    TREE_DELETE = 13
    IMPAIRMENT_PUT = 14
    IMPAIRMENT_DELETE = 15


@dataclass(frozen=True, slots=True)
class PortTraffic:
    """What a port's socket came to, in frames as the kernel handed them over: a GSO frame is one.

    unsent: refused by the kernel (device down, longer than its MTU). unread: of a kind or length that the
    engine cannot carry. overrun: there was no room to hold it.
    """

    received: int
    sent: int
    unsent: int
    unread: int
    overrun: int


def _native() -> Any:
    # Compiled code: an installation without it can still validate files and use VLAN devices.
    try:
        from edge.fastpath import _ring as module
    except ImportError as error:
        raise CapabilityError(
            f"the C extension edge.fastpath._ring is not built: {error}",
            "in a source tree: python3 setup.py build_ext --inplace (needs gcc and Python's headers)",
        ) from error
    return module


class RingProcess:
    """One engine. Methods may be called by one thread at a time.

    Raises CapabilityError when it is not built, OSError when the kernel refuses a process.
    """

    def __init__(self) -> None:
        native = _native()
        self._ffi, self._lib = native.ffi, native.lib
        self._memory = mmap.mmap(-1, self._lib.edge_ring_shared_size())
        self._shared = self._ffi.from_buffer(self._memory, require_writable=True)
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self.pid: int = self._lib.edge_ring_start(theirs.fileno(), self._shared)
        if self.pid < 0:
            ours.close()
            raise OSError(-self.pid, f"the engine cannot be started: {os.strerror(-self.pid)}")
        ours.settimeout(DEADLINE_S)
        self._control = ours
        self.pidfd = os.pidfd_open(self.pid)
        self._status: int | None = None

    def ask(self, op: Op, port: int = 0, body: bytes = b"", descriptor: int | None = None) -> None:
        """Have the engine do something.

        Raises OSError: its refusal, or ESRCH when it has ended; one that does not answer in time is ended.
        """
        parts = [_HEAD.pack(op, port), body]
        rights = []
        if descriptor is not None:
            rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, struct.pack("=i", descriptor))]
        try:
            self._control.sendmsg(parts, rights)
            answer = self._control.recv(_ANSWER.size)
        except (BrokenPipeError, ConnectionResetError) as error:
            raise OSError(errno.ESRCH, "the engine that carries tags has ended") from error
        except TimeoutError as error:
            self._give_up()
            words = f"the engine that carries tags did not answer within {DEADLINE_S:.0f} s and was ended"
            raise OSError(errno.ESRCH, words) from error
        if len(answer) < _ANSWER.size:
            raise OSError(errno.ESRCH, "the engine that carries tags has ended")
        (refused,) = _ANSWER.unpack(answer)
        if refused:
            raise OSError(refused, os.strerror(refused))

    def _give_up(self) -> None:
        """End an engine that does not answer: a late answer would be taken for that to the next request.

        Who watches `pidfd` starts another one, as after any other death.
        """
        self._control.shutdown(socket.SHUT_RDWR)
        signal.pidfd_send_signal(self.pidfd, signal.SIGKILL)
        select.select([self.pidfd], [], [], DEADLINE_S)

    def alive(self) -> bool:
        """Whether the engine still runs."""
        return not select.select([self.pidfd], [], [], 0)[0]

    def ending(self) -> str:
        """How an engine ended that is not alive, in words."""
        status = self._wait()
        if os.WIFSIGNALED(status):
            return f"killed by signal {os.WTERMSIG(status)}"
        return f"exit status {os.WEXITSTATUS(status)}"

    def close(self) -> None:
        """End the engine and wait for that; whatever it held is free then."""
        self._control.close()
        self._wait()
        os.close(self.pidfd)
        self._ffi.release(self._shared)
        self._memory.close()

    def _wait(self) -> int:
        if self._status is None:
            # An engine that hangs has no right to keep its owner waiting.
            if not select.select([self.pidfd], [], [], DEADLINE_S)[0]:
                os.kill(self.pid, 9)
            try:
                self._status = os.waitpid(self.pid, 0)[1]
            except ChildProcessError:
                self._status = 0
        return self._status

    def rules(self) -> Iterator[tuple[bytes, bytes]]:
        """The rules in force: key and value as edge.fastpath.layout packs them."""
        yield from self._pairs(self._lib.edge_ring_rules, _RULES, _RULE_OCTETS)

    def unknown(self) -> Iterator[tuple[bytes, bytes]]:
        """Tags that nobody waits for: key and number of frames (64 bits)."""
        yield from self._pairs(self._lib.edge_ring_unknown, _UNKNOWN, 8)

    def _pairs(self, read: Any, most: int, octets: int) -> Iterator[tuple[bytes, bytes]]:
        size = _KEY_OCTETS + octets
        room = bytearray(most * size)
        count = read(self._shared, self._ffi.from_buffer("uint8_t[]", room))
        for at in range(0, count * size, size):
            yield bytes(room[at : at + _KEY_OCTETS]), bytes(room[at + _KEY_OCTETS : at + size])

    def subinterface(self, port: int) -> bytes | None:
        """How frames leave that the device of a port sends (edge_subinterface), None for a trunk."""
        room = bytearray(_SUBINTERFACE_OCTETS)
        found = self._lib.edge_ring_subinterface(self._shared, port, self._ffi.from_buffer("uint8_t[]", room))
        return bytes(room) if found else None

    def stats(self, slot: int) -> tuple[Stats, tuple[Stats, ...]]:
        """Counters of a slot: all frames, and what its policer did with them by class."""
        stats, policed = bytearray(_STATS_OCTETS), bytearray(_POLICER_OCTETS)
        buffers = (self._ffi.from_buffer("uint8_t[]", room) for room in (stats, policed))
        self._lib.edge_ring_slot_count(self._shared, slot, *buffers)
        classes = range(_BUCKET_OCTETS, _POLICER_OCTETS, _STATS_OCTETS)
        return Stats.sum(bytes(stats)), tuple(
            Stats.sum(bytes(policed[at : at + _STATS_OCTETS])) for at in classes
        )

    def dropped(self, port: int) -> Stats:
        """Frames that came to a port under tags that no rule names."""
        room = bytearray(_STATS_OCTETS)
        self._lib.edge_ring_port_dropped(self._shared, port, self._ffi.from_buffer("uint8_t[]", room))
        return Stats.sum(bytes(room))

    def traffic(self, port: int) -> PortTraffic:
        """What the socket of a port came to."""
        out = self._ffi.new("struct edge_ring_port_stats *")
        self._lib.edge_ring_port_count(self._shared, port, out)
        return PortTraffic(out.received, out.sent, out.unsent, out.unread, out.overrun)

    def marked(self, counter: int) -> bytes:
        """A marking's counters of one outcome (edge_marked)."""
        room = bytearray(_MARKED_OCTETS)
        self._lib.edge_ring_marked(self._shared, counter, self._ffi.from_buffer("uint8_t[]", room))
        return bytes(room)

    def tree_body(self, place: int, settings: Settings) -> bytes:
        """struct edge_ring_tree, what is not given is zero."""
        return bytes(self._ffi.buffer(self._ffi.new("struct edge_ring_tree *", {"place": place, **settings})))

    def tree(self, place: int) -> tuple[Settings, list[Settings]] | None:
        """What a tree of queues does, and what its queues counted; None when there is none at that place."""
        tree = self._ffi.new("struct edge_ring_tree *")
        counters = self._ffi.new("struct edge_queue_counters[]", QUEUES_IN_TREE)
        if not self._lib.edge_ring_tree_read(self._shared, place, tree, counters):
            return None
        settings = {name: getattr(tree, name) for name in ("number", "rate_bps", "round_octets", "queues")}
        settings["queue"] = [self._fields(tree.queue[i]) for i in range(tree.queues)]
        return settings, [self._fields(counters[i]) for i in range(tree.queues)]

    def impairment_body(self, place: int, settings: Settings) -> bytes:
        """struct edge_ring_impairment."""
        values = {"place": place, "set": settings}
        return bytes(self._ffi.buffer(self._ffi.new("struct edge_ring_impairment *", values)))

    def impairment(self, place: int) -> tuple[Settings, Settings] | None:
        """Settings and counters of a bad wire; None when there is none at that place."""
        settings = self._ffi.new("struct edge_impairment *")
        counters = self._ffi.new("struct edge_impair_counters *")
        if not self._lib.edge_ring_impairment_read(self._shared, place, settings, counters):
            return None
        return self._fields(settings[0]), self._fields(counters[0])

    def _fields(self, struct: Any) -> Settings:
        names = [name for name, _ in self._ffi.typeof(struct).fields]
        return {name: int(getattr(struct, name)) for name in names}


@contextlib.contextmanager
def running() -> Iterator[RingProcess]:
    """An engine for the time of a block."""
    engine = RingProcess()
    try:
        yield engine
    finally:
        engine.close()
