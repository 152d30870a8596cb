"""Impairments as objects: names become indexes for the engine; netem where the user asks for it."""

from __future__ import annotations

import errno
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Protocol

from edge.errors import CapabilityError, EdgeError, KernelError
from edge.net import messages as nl
from edge.net import netem
from edge.net.netlink import Refusal
from edge.net.objects.base import Endpoint, KernelObject, Key
from edge.net.objects.changes import Change
from edge.net.objects.frames import Impairment
from edge.net.snapshot import Snapshot
from edge.net.spaces import MissingError, Spaces

_GONE = (errno.ENODEV, errno.ENOENT, errno.EINVAL)
"""Answers when the device or its queue is not there (EINVAL in older kernels)."""


class ImpairmentPlaneLike(Protocol):
    """Harms what devices send, itself (edge.fastpath.impair.ImpairmentPlane)."""

    def add(self, obj: Impairment, *, device: int, sink: int, netns_fd: int) -> None:
        """Begin; device and sink: ifindexes, the second one free to be used. Raises EdgeError."""

    def change(self, obj: Impairment) -> None:
        """Other values while traffic flows. Raises EdgeError."""

    def remove(self, obj: Impairment) -> None:
        """End; quiet when it is not there. Raises EdgeError."""

    def found(self) -> set[Impairment]:
        """The impairments in force."""


class Impairments:
    """Impairments of devices in the namespaces of `spaces`. One thread at a time."""

    def __init__(self, spaces: Spaces, plane: ImpairmentPlaneLike | None) -> None:
        self._spaces = spaces
        self._plane = plane

    def create(self, changes: Sequence[Change]) -> list[EdgeError | None]:
        """Begin or change impairments; the result of each in order."""
        return [_result(lambda change=change: self._bring(change)) for change in changes]

    def delete(self, changes: Sequence[Change]) -> list[EdgeError | None]:
        """End the impairment `before` of each change; the result of each in order. Gone counts as done."""
        return [_result(lambda change=change: self._end(change.before)) for change in changes]

    def _bring(self, change: Change) -> None:
        before, after = change.before, change.after
        assert isinstance(after, Impairment)
        in_place = isinstance(before, Impairment) and before.by == after.by
        if not in_place:
            self._end(before)
        if after.by == "netem":
            self._put_netem(after)
            return
        plane = self._plane
        if plane is None:
            raise CapabilityError(f"{after}: this lab has no engine for it", "run as root, or by: netem")
        if in_place:
            plane.change(after)
            return
        device = self._spaces.index(after.at)
        sink = self._spaces.allocate(Endpoint(after.namespace, f"sink{device}"))
        plane.add(after, device=device, sink=sink, netns_fd=self._spaces.fd(after.namespace))

    def _put_netem(self, wanted: Impairment) -> None:
        index = self._spaces.index(wanted.at)
        queues = self._spaces.route(wanted.namespace).dump(nl.dump_queues())
        kind = next(filter(None, (netem.in_the_way(message.payload, index) for message in queues)), "")
        if kind:
            raise KernelError(
                str(wanted),
                errno.EEXIST,
                f"{wanted.at} has queues ({kind}), and netem would take their place; leave `by: netem` away",
            )
        refused = self._ask(wanted, lambda index: netem.put(index, wanted))
        if refused is None:
            return
        if refused.errno in (errno.ENOENT, errno.EOPNOTSUPP):
            raise CapabilityError(
                f"{wanted}: this kernel has no netem",
                "leave `by: netem` away, or sudo modprobe sch_netem",
            )
        raise KernelError(str(wanted), refused.errno, str(refused))

    def _end(self, subject: KernelObject | None) -> None:
        if not isinstance(subject, Impairment):
            return
        if subject.by == "ring":
            if self._plane is not None:
                self._plane.remove(subject)
            return
        try:
            refused = self._ask(subject, nl.delete_queue)
        except MissingError:
            return
        if refused is not None and refused.errno not in _GONE:
            raise KernelError(str(subject), refused.errno, str(refused))

    def _ask(self, subject: Impairment, request: _Request) -> Refusal | None:
        index = self._spaces.index(subject.at)
        return self._spaces.route(subject.namespace).transact([request(index)])[0]

    def found(
        self, snapshots: Mapping[str, Snapshot], wanted: Mapping[Key, KernelObject]
    ) -> Iterator[Impairment]:
        """The impairments that there are, by our engine and by netem."""
        if self._plane is not None:
            yield from self._plane.found()
        for namespace, snapshot in snapshots.items():
            names = {link.index: link.name for link in snapshot.links}
            for item in snapshot.netems:
                if item.index not in names:
                    continue
                values = asdict(item)
                values.pop("index")
                bare = Impairment(Endpoint(namespace, names[item.index]), **{**values, "seed": 0}, by="netem")
                known = wanted.get(bare.key)
                if item.seed is not None:
                    yield Impairment(bare.at, **values, by="netem")
                elif isinstance(known, Impairment):
                    # Whatever the seed was: this kernel keeps none.
                    yield Impairment(bare.at, **{**values, "seed": known.seed}, by="netem")
                else:
                    yield bare


class _Request(Protocol):
    def __call__(self, index: int, /) -> nl.Request: ...


class _Work(Protocol):
    def __call__(self) -> None: ...


def _result(work: _Work) -> EdgeError | None:
    try:
        work()
    except EdgeError as error:
        return error
    except OSError as error:
        return KernelError("impairment", error.errno or 0, str(error))
    return None
