"""Devices, bridge ports, addresses and routes: batches of netlink requests, packed by namespace."""

from __future__ import annotations

import errno
import os
from collections import defaultdict
from collections.abc import Mapping, Sequence

from edge.errors import CapabilityError, EdgeError, KernelError
from edge.net import steps
from edge.net.netlink import Refusal
from edge.net.objects.base import Endpoint, KernelObject
from edge.net.objects.changes import Change
from edge.net.objects.devices import VlanDevice
from edge.net.objects.frames import RateLimit
from edge.net.spaces import MissingError, Spaces
from edge.net.steps import Step

_TAKEN = (errno.EEXIST, errno.EBUSY)
"""The kernel's answers when a name or an index is in use: one for either, depending on its version."""


class Devices:
    """What netlink makes and takes away in the namespaces of `spaces`. One thread at a time."""

    def __init__(self, spaces: Spaces) -> None:
        self._spaces = spaces

    def create(self, changes: Sequence[Change]) -> list[EdgeError | None]:
        """Make or change things; the result of each in order."""
        results: list[EdgeError | None] = [None] * len(changes)
        remade = [position for position, change in enumerate(changes) if steps.must_be_remade(change)]
        for position, error in zip(remade, self.delete([changes[p] for p in remade]), strict=True):
            results[position] = error
        ready = [position for position, error in enumerate(results) if error is None]
        for wave in _waves(changes, ready):
            self._wave({position: changes[position] for position in wave}, results)
        return results

    def _wave(self, changes: Mapping[int, Change], results: list[EdgeError | None]) -> None:
        refused = self._attempt(changes, results)
        taken = [
            position
            for position, refusal in refused.items()
            if refusal.errno in _TAKEN
            and (devices := steps.devices_of(changes[position].subject))
            and not any(self._spaces.exists(at) for at in devices)
        ]
        if taken:
            # The names are free, so it was an index that somebody else took.
            self._spaces.relearn()
            again = {position: changes[position] for position in taken}
            refused = {p: refusal for p, refusal in refused.items() if p not in again}
            refused |= self._attempt(again, results)
        for position, refusal in refused.items():
            results[position] = self._error(changes[position], refusal)

    def _attempt(self, changes: Mapping[int, Change], results: list[EdgeError | None]) -> dict[int, Refusal]:
        batch: dict[int, list[Step]] = {}
        for position, change in changes.items():
            subject = change.after
            assert isinstance(subject, steps.LinkState)
            in_place = change.before is not None and not steps.must_be_remade(change)
            try:
                if in_place and isinstance(change.before, steps.LinkState):
                    batch[position] = steps.change(change.before, subject, self._spaces)
                else:
                    batch[position] = steps.create(subject, self._spaces)
            except MissingError as error:
                results[position] = KernelError(str(subject), error.errno, str(error))
        refused = self._run(batch)
        for position in refused:
            if changes[position].before is None:
                for at in steps.devices_of(changes[position].subject):
                    self._spaces.forget_index(at)
        return refused

    def delete(self, changes: Sequence[Change]) -> list[EdgeError | None]:
        """Take the `before` of each change away; the result of each in order. Gone counts as done."""
        batch: dict[int, list[Step]] = {}
        for position, change in enumerate(changes):
            subject = change.before
            assert isinstance(subject, steps.LinkState)
            try:
                batch[position] = steps.delete(subject, self._spaces)
            except MissingError:
                continue
        results: list[EdgeError | None] = [None] * len(changes)
        for position, refusal in self._run(batch).items():
            if refusal.errno not in steps.GONE:
                results[position] = self._error(changes[position], refusal)
        for position in batch:
            for at in steps.devices_of(changes[position].subject):
                self._spaces.forget_index(at)
        return results

    def _run(self, batch: Mapping[int, Sequence[Step]]) -> dict[int, Refusal]:
        """Send everything, one packed batch a namespace; the first refusal of each position."""
        packed: dict[str, list[tuple[int, Step]]] = defaultdict(list)
        for position, sequence in batch.items():
            for step in sequence:
                packed[step.namespace].append((position, step))
        refused: dict[int, Refusal] = {}
        for namespace, items in packed.items():
            try:
                answers = self._spaces.route(namespace).transact([step.request for _, step in items])
            except MissingError:
                answers = [Refusal(errno.ENODEV, f"namespace {namespace} does not exist")] * len(items)
            except EdgeError as error:
                answers = [Refusal(errno.ETIMEDOUT, str(error))] * len(items)
            except OSError as error:
                answers = [Refusal(error.errno or errno.EIO, str(error))] * len(items)
            for (position, _), refusal in zip(items, answers, strict=True):
                if refusal is not None:
                    refused.setdefault(position, refusal)
                    if refusal.errno == errno.ENODEV:
                        self._spaces.forget_indexes(namespace)
        return refused

    def _error(self, change: Change, refusal: Refusal) -> EdgeError:
        subject = change.subject
        if isinstance(subject, VlanDevice) and refusal.errno == errno.EOPNOTSUPP:
            return CapabilityError(f"{subject}: this kernel has no VLAN devices", "sudo modprobe 8021q")
        if isinstance(subject, RateLimit) and refusal.errno in (errno.ENOENT, errno.EOPNOTSUPP):
            words = f"{subject}: this kernel has no token bucket filter"
            return CapabilityError(words, "sudo modprobe sch_tbf")
        taken = [
            at for at in steps.devices_of(subject) if refusal.errno in _TAKEN and self._spaces.exists(at)
        ]
        if taken:
            names = " and ".join(map(str, taken))
            return KernelError(str(subject), refusal.errno, f"{names} exists already")
        if refusal.errno == errno.EPERM:
            return CapabilityError(f"{subject}: {os.strerror(errno.EPERM)}", "run as root (CAP_NET_ADMIN)")
        return KernelError(str(subject), refusal.errno, str(refusal))


def _waves(changes: Sequence[Change], positions: Sequence[int]) -> list[list[int]]:
    """Positions in batches: a device comes in a later batch than the device of the same call below it."""
    makers: dict[Endpoint, int] = {}
    for position in positions:
        for at in steps.devices_of(changes[position].subject):
            makers[at] = position

    def depth(subject: KernelObject, seen: int = 0) -> int:
        lower = steps.lower_of(subject)
        # A ring of lower devices cannot be made; its members are tried all the same and refused.
        if lower is None or lower not in makers or seen > len(makers):
            return 0
        return 1 + depth(changes[makers[lower]].subject, seen + 1)

    waves: dict[int, list[int]] = defaultdict(list)
    for position in positions:
        waves[depth(changes[position].subject)].append(position)
    return [waves[level] for level in sorted(waves)]
