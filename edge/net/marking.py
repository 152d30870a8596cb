"""Markings as objects: names become indexes for the marking plane, which knows nothing of names."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from edge.errors import CapabilityError, EdgeError
from edge.fastpath.markcounters import MarkCounters
from edge.net.objects.base import Key
from edge.net.objects.changes import Change
from edge.net.objects.frames import Marking
from edge.net.spaces import Spaces


class MarkPlaneLike(Protocol):
    """Applies policies at devices given by index (edge.fastpath.markplane, edge.net.marking_nft)."""

    def add(self, obj: Marking, *, index: int, netns_fd: int) -> None:
        """Start a marking; one whose device was made anew is started again. Raises EdgeError."""

    def change(self, before: Marking, after: Marking) -> None:
        """Give it another policy, treatment, tree or knob, without a gap. Raises EdgeError."""

    def remove(self, obj: Marking) -> None:
        """End a marking. Raises EdgeError."""

    def found(self) -> set[Marking]:
        """The markings that are in force. Raises EdgeError."""

    def counters(self) -> MarkCounters:
        """What all of them counted. Raises EdgeError."""


class Markings:
    """The markings in the namespaces of `spaces`. One thread at a time."""

    def __init__(self, spaces: Spaces, plane: MarkPlaneLike | None) -> None:
        self._spaces = spaces
        self._plane = plane

    def create(self, changes: Iterable[Change]) -> list[EdgeError | None]:
        """Start or change markings; the result of each in order."""
        items = list(changes)
        there = self._there(items)
        return [self._bring(change, there) for change in items]

    def _bring(self, change: Change, there: set[Key]) -> EdgeError | None:
        before, after = change.before, change.after
        assert isinstance(after, Marking)
        try:
            if self._plane is None:
                words = f"{after}: this realisation has nothing that marks"
                raise CapabilityError(words, "run as root, or sudo modprobe nf_tables")
            if isinstance(before, Marking) and before.key == after.key and before.key in there:
                self._plane.change(before, after)
            else:
                index = self._spaces.index(after.at)
                self._plane.add(after, index=index, netns_fd=self._spaces.fd(after.namespace))
        except EdgeError as error:
            return error
        return None

    def delete(self, changes: Iterable[Change]) -> list[EdgeError | None]:
        """End the markings `before` of each change; the result of each in order. One gone counts as done."""
        items = list(changes)
        there = self._there(items)
        return [self._end(change.before, there) for change in items]

    def _end(self, before: object, there: set[Key]) -> EdgeError | None:
        if self._plane is None or not isinstance(before, Marking):
            return None
        try:
            self._plane.remove(before)
        except EdgeError as error:
            return error if before.key in there else None
        return None

    def found(self) -> set[Marking]:
        """The markings that are in force."""
        return set() if self._plane is None else self._plane.found()

    def _there(self, changes: list[Change]) -> set[Key]:
        return {item.key for item in self.found()} if changes else set()
