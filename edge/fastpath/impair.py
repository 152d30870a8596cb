"""Our own impairment of what devices send: delay, jitter, loss, duplication, reordering, a rate.

One `ImpairmentPlane` serves all devices of a lab where BPF may be loaded. What becomes of a frame is
csrc/impair.h, the thread that holds frames csrc/wires.c, the way to it edge.fastpath.turnout. Until the first
device is impaired there is neither thread nor program. Methods may be called from any thread.
"""

from __future__ import annotations

import contextlib
import os
import threading
from dataclasses import asdict, dataclass
from typing import Any, Protocol

from edge.errors import CapabilityError, KernelError
from edge.fastpath import _impair
from edge.fastpath.attach import HookKind
from edge.fastpath.program import Loaded
from edge.fastpath.turnout import TUN, Diversion, Ends, Losses, Mirror, Turnout, Way
from edge.net import messages as nl
from edge.net.impairments import ImpairmentPlaneLike
from edge.net.namespaces import scratch_namespace
from edge.net.netem import in_the_way
from edge.net.netlink import RouteSocket
from edge.net.objects.base import Endpoint, Key
from edge.net.objects.frames import Impairment

QUEUE_NS = 100_000_000
"""Longest wait for a wire with a rate. Ours: ports differ, and no document gives any."""

QUEUE_FRAMES = 20
"""Full frames that such a queue holds at least, however slow the wire is."""

_FRAME_OCTETS = 1514
_SETTINGS = ("seed", "delay_ns", "jitter_ns", "loss_ppm", "duplicate_ppm", "reorder_ppm")


@dataclass(frozen=True, slots=True)
class ImpairmentCounters:
    """Frames of one impaired device since it is. `waiting`: delayed at this moment, duplicates counted.

    overflowed: dropped because the wire's queue or our memory was full, or because they came faster than the
    engine reads them; those have no number, so the next frame is harmed as they would have been. refused:
    not taken by the device when their time had come (a queue of its own was full, it was down).
    """

    at: Endpoint
    offered: int
    lost: int
    overflowed: int
    duplicated: int
    reordered: int
    taken: int
    waiting: int
    refused: int

    def to_json(self) -> dict[str, Any]:
        """For `inspect --format json`."""
        return {**asdict(self), "at": str(self.at)}


def settings_of(obj: Impairment) -> dict[str, int]:
    """The fields of struct edge_impairment. Pure."""
    rate = obj.rate_bps or 0
    queue_ns = max(QUEUE_NS, QUEUE_FRAMES * _FRAME_OCTETS * 8 * 10**9 // rate) if rate else 0
    return {**{name: getattr(obj, name) for name in _SETTINGS}, "rate_bps": rate, "queue_ns": queue_ns}


class PlaneLike(ImpairmentPlaneLike, Protocol):
    """A way to impair devices, with its counters."""

    def counters(self) -> tuple[ImpairmentCounters, ...]:
        """What became of the frames of each device."""


@dataclass(slots=True)
class _Record:
    at: Endpoint
    number: int
    turnout: Turnout
    losses: Losses


class ImpairmentPlane:
    """The impairments of one process.

    hook: how programs are attached (edge.fastpath.attach). way: `mirred` needs no BPF, but impairs only
    devices without queues of their own.
    """

    def __init__(self, hook: HookKind = "auto", way: Way = "bpf") -> None:
        self._hook: HookKind = hook
        self._way: Way = way
        self._lock = threading.RLock()
        self._records: dict[Key, _Record] = {}
        self._kernel: Loaded | None = None
        self._wires: Any = None
        self._thread: threading.Thread | None = None

    @staticmethod
    def probe(hook: HookKind = "auto", way: Way = "bpf") -> str | None:
        """None when devices can be impaired here, else the reason in words. Tries it on a loopback."""
        plane = ImpairmentPlane(hook, way)
        try:
            with scratch_namespace() as netns_fd:
                plane.add(Impairment(Endpoint("", "lo"), seed=0), device=1, sink=1000, netns_fd=netns_fd)
        except CapabilityError as error:
            return error.missing
        except (KernelError, OSError) as error:
            return str(error)
        finally:
            plane.close()
        return None

    def add(self, obj: Impairment, *, device: int, sink: int, netns_fd: int) -> None:
        """Impair what a device sends.

        device: its ifindex. sink: a free ifindex for the sink. netns_fd: the device's namespace. What `found`
        misses of an object added before is replaced. Raises CapabilityError when this machine cannot do
        it, KernelError naming the object when the kernel refuses; nothing is left behind then.
        """
        with self._lock:
            if obj.key in self._records:
                self.remove(obj)
            self._start()
            if self._way == "mirred":
                _refuse_queues(obj, device, netns_fd)
            try:
                ends = Ends(obj.at.device, device, sink, netns_fd, self._way)
            except OSError as error:
                raise _no_sink(obj, error) from error
            settings = _impair.ffi.new("struct edge_impairment *", settings_of(obj))
            number = _impair.lib.edge_wires_add(
                self._wires, sink, ends.sink, ends.out, ends.frame_octets, self._way == "bpf", settings
            )
            if number:
                ends.close()
                raise KernelError(str(obj), number, os.strerror(number))
            try:
                with contextlib.ExitStack() as undo:
                    losses = Losses(sink, netns_fd)
                    undo.callback(losses.close)
                    turnout = self._turnout(device, sink, netns_fd)
                    undo.pop_all()
            except OSError as error:
                _impair.lib.edge_wires_remove(self._wires, sink)
                raise KernelError(str(obj), error.errno or 0, str(error)) from error
            self._records[obj.key] = _Record(obj.at, sink, turnout, losses)

    def change(self, obj: Impairment) -> None:
        """Give an impaired device other values while traffic flows; frames that wait leave as they were to.

        Raises KernelError when it is not impaired.
        """
        with self._lock:
            record = self._records.get(obj.key)
            settings = _impair.ffi.new("struct edge_impairment *", settings_of(obj))
            if record is None or _impair.lib.edge_wires_set(self._wires, record.number, settings):
                raise KernelError(str(obj), 2, "it is not there; nothing to change")

    def remove(self, obj: Impairment) -> None:
        """Impair a device no longer: frames that wait are sent at once. Quiet when it is not impaired."""
        with self._lock:
            record = self._records.pop(obj.key, None)
            if record is None:
                return
            record.turnout.end()
            _impair.lib.edge_wires_remove(self._wires, record.number)
            record.turnout.close()
            record.losses.close()

    def found(self) -> set[Impairment]:
        """The impairments in force, as the engine has them."""
        found = set()
        with self._lock:
            for record in self._records.values():
                settings, _, error = self._read(record)
                if not error and record.turnout.alive():
                    values: dict[str, Any] = {name: int(getattr(settings, name)) for name in _SETTINGS}
                    rate_bps = int(settings.rate_bps) or None
                    found.add(Impairment(record.at, **values, rate_bps=rate_bps))
        return found

    def counters(self) -> tuple[ImpairmentCounters, ...]:
        """What became of the frames of each device, in the order in which they were impaired."""
        with self._lock:
            found = []
            for record in self._records.values():
                _, counted, _ = self._read(record)
                fields = _impair.ffi.typeof("struct edge_impair_counters").fields
                numbers = {name: int(getattr(counted.impair, name)) for name, _ in fields}
                unread = record.losses.count()
                numbers["offered"] += unread
                numbers["overflowed"] += unread
                found.append(ImpairmentCounters(record.at, **numbers, refused=int(counted.refused)))
            return tuple(found)

    def close(self) -> None:
        """End all impairments and the thread."""
        with self._lock:
            for record in list(self._records.values()):
                self.remove(Impairment(record.at, seed=0))
            if self._wires is not None:
                _impair.lib.edge_wires_stop(self._wires)
                if self._thread is not None:
                    self._thread.join()
                _impair.lib.edge_wires_free(self._wires)
                self._wires = self._thread = None
            if self._kernel is not None:
                self._kernel.close()
                self._kernel = None

    def _read(self, record: _Record) -> tuple[Any, Any, int]:
        """Settings, counters, and an errno when its sink has gone."""
        settings = _impair.ffi.new("struct edge_impairment *")
        counted = _impair.ffi.new("struct edge_wire_counters *")
        error = _impair.lib.edge_wires_read(self._wires, record.number, settings, counted)
        return settings, counted, int(error)

    def _turnout(self, device: int, sink: int, netns_fd: int) -> Turnout:
        if self._kernel is None:
            return Mirror(device, sink, netns_fd)
        return Diversion(self._kernel, device, sink, netns_fd, self._hook)

    def _start(self) -> None:
        """Load the programs and start the thread, on the first call."""
        if self._kernel is None and self._way == "bpf":
            try:
                self._kernel = Loaded("impair")
            except OSError as error:
                raise CapabilityError(
                    f"impairments need BPF programs, which are refused here: {error.strerror}", _WAY_OUT
                ) from error
        if self._wires is None:
            self._wires = _impair.lib.edge_wires_new()
            if self._wires == _impair.ffi.NULL:
                self._wires = None
                raise CapabilityError("no memory or descriptors for impairments", "end other labs")
            run = _impair.lib.edge_wires_run
            self._thread = threading.Thread(target=run, args=(self._wires,), name="wires", daemon=True)
            self._thread.start()


class EitherPlane:
    """Two ways to impair devices: what the first cannot do, the second is asked for."""

    def __init__(self, first: PlaneLike, second: PlaneLike) -> None:
        self._planes = (first, second)

    def add(self, obj: Impairment, *, device: int, sink: int, netns_fd: int) -> None:
        """Impair what a device sends. Raises what the second way says when neither can."""
        first, second = self._planes
        if not any(known.key == obj.key for known in second.found()):
            try:
                first.add(obj, device=device, sink=sink, netns_fd=netns_fd)
                return
            except CapabilityError:
                pass
        second.add(obj, device=device, sink=sink, netns_fd=netns_fd)

    def change(self, obj: Impairment) -> None:
        """Other values, where it is impaired. Raises KernelError when it is not."""
        first, second = self._planes
        there = any(known.key == obj.key for known in first.found())
        (first if there else second).change(obj)

    def remove(self, obj: Impairment) -> None:
        """Impair no longer. Quiet when it is not impaired."""
        for plane in self._planes:
            plane.remove(obj)

    def found(self) -> set[Impairment]:
        """The impairments in force."""
        return {item for plane in self._planes for item in plane.found()}

    def counters(self) -> tuple[ImpairmentCounters, ...]:
        """What became of the frames of each device."""
        return tuple(item for plane in self._planes for item in plane.counters())


def _refuse_queues(obj: Impairment, device: int, netns_fd: int) -> None:
    with RouteSocket(netns_fd) as route:
        queues = route.dump(nl.dump_queues())
    kinds = [in_the_way(message.payload, device) for message in queues]
    if any(kinds):
        raise CapabilityError(
            f"{obj}: it has queues ({next(filter(None, kinds))}), which frames would pass by without BPF",
            _WAY_OUT,
        )


_WAY_OUT = "run as root, or write `by: netem` where the kernel has netem (modprobe sch_netem)"


def _no_sink(obj: Impairment, error: OSError) -> CapabilityError | KernelError:
    if error.filename == TUN:
        return CapabilityError(
            f"{obj}: this machine makes no TAP devices ({error.strerror})",
            f"sudo modprobe tun; or {_WAY_OUT}",
        )
    return KernelError(str(obj), error.errno or 0, str(error))
