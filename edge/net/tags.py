"""Tag rules as objects: names become indexes for the tag plane, which knows nothing of names."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Protocol

from edge.errors import CapabilityError, EdgeError
from edge.net.objects.base import Endpoint
from edge.net.objects.changes import Change
from edge.net.objects.frames import SubinterfaceTags, VirtualCircuit
from edge.net.spaces import Spaces

TagRule = SubinterfaceTags | VirtualCircuit


class TagPlaneLike(Protocol):
    """Pushes, pops and swaps tags between devices given by index (edge.fastpath.tagplane.TagPlane)."""

    def add_subinterface(
        self, obj: SubinterfaceTags, *, sub: int, port: int, inner: int | None, netns_fd: int
    ) -> None:
        """Start a subinterface's rule. Raises EdgeError."""

    def remove_subinterface(self, obj: SubinterfaceTags) -> None:
        """End a subinterface's rule. Raises EdgeError."""

    def add_circuit(self, obj: VirtualCircuit, *, port_a: int, port_b: int, netns_fd: int) -> None:
        """Start a circuit's rules. Raises EdgeError."""

    def change_circuit(self, before: VirtualCircuit, after: VirtualCircuit) -> None:
        """Change a circuit's rate in place. Raises EdgeError."""

    def remove_circuit(self, obj: VirtualCircuit) -> None:
        """End a circuit's rules. Raises EdgeError."""

    def found(self) -> set[SubinterfaceTags | VirtualCircuit]:
        """The rules that are in force."""


class Tags:
    """The tag rules of the namespaces of `spaces`. One thread at a time."""

    def __init__(self, spaces: Spaces, plane: TagPlaneLike | None) -> None:
        self._spaces = spaces
        self._plane = plane

    def create(self, changes: Iterable[Change]) -> list[EdgeError | None]:
        """Start or change rules; the result of each in order.

        Changed rules are all taken away before the first is put back: two may swap their tags.
        """
        items = list(changes)
        results: list[EdgeError | None] = [None] * len(items)
        anew = [change for change in items if not _only_rate(change)]
        removed = self.delete([change for change in anew if change.before is not None])
        failed = {
            change.subject.key: error
            for change, error in zip([c for c in anew if c.before is not None], removed, strict=True)
            if error is not None
        }
        for position, change in enumerate(items):
            error = failed.get(change.subject.key)
            results[position] = error if error is not None else self._bring(change)
        return results

    def _bring(self, change: Change) -> EdgeError | None:
        before, after = change.before, change.after
        try:
            plane = self._needed(change)
            if (
                isinstance(before, VirtualCircuit)
                and isinstance(after, VirtualCircuit)
                and _only_rate(change)
            ):
                plane.change_circuit(before, after)
            elif isinstance(after, VirtualCircuit):
                self._add_circuit(plane, after)
            elif isinstance(after, SubinterfaceTags):
                self._add_subinterface(plane, after)
        except EdgeError as error:
            return error
        return None

    def _add_circuit(self, plane: TagPlaneLike, circuit: VirtualCircuit) -> None:
        port_a, port_b = (
            self._spaces.index(Endpoint(circuit.namespace, port)) for port in (circuit.port_a, circuit.port_b)
        )
        netns_fd = self._spaces.fd(circuit.namespace)
        plane.add_circuit(circuit, port_a=port_a, port_b=port_b, netns_fd=netns_fd)

    def _add_subinterface(self, plane: TagPlaneLike, rule: SubinterfaceTags) -> None:
        inner = None if rule.inner is None else self._spaces.index(rule.inner)
        plane.add_subinterface(
            rule,
            sub=self._spaces.index(rule.sub),
            port=self._spaces.index(rule.port),
            inner=inner,
            netns_fd=self._spaces.fd(rule.port.namespace),
        )

    def delete(self, changes: Iterable[Change]) -> list[EdgeError | None]:
        """End the rules `before` of each change; the result of each in order. One gone counts as done."""
        items = list(changes)
        there = self._plane.found() if self._plane is not None and items else set()
        keys = {rule.key for rule in there}
        return [self._end(change.before, keys) for change in items]

    def _end(self, rule: object, there: set[tuple[str, ...]]) -> EdgeError | None:
        plane = self._plane
        if plane is None:
            return None
        try:
            if isinstance(rule, SubinterfaceTags):
                plane.remove_subinterface(rule)
            elif isinstance(rule, VirtualCircuit):
                plane.remove_circuit(rule)
        except EdgeError as error:
            gone = isinstance(rule, SubinterfaceTags | VirtualCircuit) and rule.key not in there
            return None if gone else error
        return None

    def found(self) -> set[TagRule]:
        """The rules that are in force."""
        return set() if self._plane is None else self._plane.found()

    def _needed(self, change: Change) -> TagPlaneLike:
        if self._plane is None:
            raise CapabilityError(f"{change.subject}: this realisation has no BPF tag plane", "run as root")
        return self._plane


def _only_rate(change: Change) -> bool:
    before, after = change.before, change.after
    if not isinstance(before, VirtualCircuit) or not isinstance(after, VirtualCircuit):
        return False
    rated = dataclasses.replace(before, rate_bps=after.rate_bps, tolerance_percent=after.tolerance_percent)
    return rated == after
