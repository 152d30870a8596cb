"""Bad wires behind the ports of the ring engine (csrc/impair.h): by one seed the same frames are lost."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

from edge.errors import CapabilityError
from edge.fastpath.impair import ImpairmentCounters, settings_of
from edge.fastpath.refusals import kernel_error, not_there
from edge.fastpath.ringhost import Host, Places
from edge.fastpath.ringprocess import PLACES, Op
from edge.net.objects.base import Endpoint, Key
from edge.net.objects.frames import Impairment


@dataclass(slots=True)
class _Record:
    obj: Impairment
    place: int
    installed: bool = False


class RingImpairments:
    """What the engine's ports send is harmed (edge.net.impairments.ImpairmentPlaneLike)."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._records: dict[Key, _Record] = {}
        self._places = Places(PLACES)

    def add(self, obj: Impairment, *, device: int, sink: int, netns_fd: int) -> None:
        """Impair what a port sends. CapabilityError for a device that the engine does not send by."""
        with self._changing(obj):
            if obj.key in self._records:
                self.remove(obj)
            where = self._host.where(obj.at)
            if where is None or where.turned:
                raise CapabilityError(
                    f"{obj}: in user space only ports that carry tagged frames can be impaired",
                    "impair the link of a port, or `by: netem` where the kernel has netem, or run as root",
                )
            record = _Record(obj, self._places.take())
            try:
                self._install(record)
            except OSError:
                self._places.give_back(record.place)
                raise
            self._records[obj.key] = record

    def change(self, obj: Impairment) -> None:
        """Other values while traffic flows; frames that wait leave as they were to. Raises KernelError."""
        with self._changing(obj):
            known = self._records.get(obj.key)
            if known is None:
                raise not_there()
            known.obj = obj
            self._install(known)

    def remove(self, obj: Impairment) -> None:
        """Impair no longer: frames that wait are sent at once. Quiet when it is not impaired."""
        with self._changing(obj):
            known = self._records.pop(obj.key, None)
            if known is None:
                return
            self._places.give_back(known.place)
            where = self._host.where(obj.at)
            if where is not None and known.installed:
                self._host.withdraw(Op.IMPAIRMENT_DELETE, where.number, self._body(known))

    def found(self) -> set[Impairment]:
        """The impairments in force, as the engine has them."""
        with self._host.lock:
            if not self._host.engine.alive():
                return set()
            return {record.obj for record in self._records.values() if self._intact(record)}

    def counters(self) -> tuple[ImpairmentCounters, ...]:
        """What became of the frames of each device, in the order in which they were impaired."""
        with self._host.lock:
            found = []
            for record in self._records.values():
                read = self._host.engine.impairment(record.place) if record.installed else None
                where = self._host.where(record.obj.at)
                if read is not None and where is not None:
                    refused = self._host.engine.traffic(where.number).unsent
                    found.append(ImpairmentCounters(record.obj.at, **read[1], refused=refused))
            return tuple(found)

    def arrived(self, at: Endpoint) -> None:
        """See Stages."""
        for record in self._records.values():
            if record.obj.at == at:
                self._install(record)

    def gone(self, at: Endpoint) -> None:
        """See Stages."""
        for record in self._records.values():
            if record.obj.at == at:
                record.installed = False

    @contextlib.contextmanager
    def _changing(self, obj: Impairment) -> Iterator[None]:
        with self._host.lock:
            try:
                yield
            except OSError as error:
                raise kernel_error(obj, error) from error

    def _intact(self, record: _Record) -> bool:
        read = self._host.engine.impairment(record.place) if record.installed else None
        return read is not None and read[0].items() >= settings_of(record.obj).items()

    def _install(self, record: _Record) -> None:
        where = self._host.where(record.obj.at)
        if where is not None:
            self._host.engine.ask(Op.IMPAIRMENT_PUT, where.number, self._body(record))
            record.installed = True

    def _body(self, record: _Record) -> bytes:
        return self._host.engine.impairment_body(record.place, settings_of(record.obj))
