"""What the tests of edge.net share: bringing objects about tier by tier."""

from __future__ import annotations

from collections.abc import Iterable

from edge.errors import EdgeError
from edge.net.kernel import Kernel
from edge.net.objects.base import KernelObject
from edge.net.objects.changes import TIERS, Change, tier_of


def create_all(kernel: Kernel, objects: Iterable[KernelObject]) -> None:
    """Make all objects in the order of the tiers; every one must succeed."""
    items = list(objects)
    for tier in range(len(TIERS)):
        changes = [Change(None, item) for item in items if tier_of(item) == tier]
        errors = [str(error) for error in kernel.apply(changes) if error is not None]
        assert not errors, errors


def delete_all(kernel: Kernel, objects: Iterable[KernelObject]) -> None:
    """Take all objects away in the reverse order; every one must succeed."""
    items = list(objects)
    for tier in reversed(range(len(TIERS))):
        changes = [Change(item, None) for item in items if tier_of(item) == tier]
        assert kernel.apply(changes) == [None] * len(changes)


def reconcile(kernel: Kernel, wanted: Iterable[KernelObject]) -> list[EdgeError | None]:
    """One round of found, diff and apply, as a deployment does it."""
    want = {item.key: item for item in wanted}
    have = {item.key: item for item in kernel.found(want.values())}
    results: list[EdgeError | None] = []
    for tier in reversed(range(len(TIERS))):
        gone = [item for key, item in have.items() if key not in want and tier_of(item) == tier]
        results += kernel.apply([Change(item, None) for item in gone])
    for tier in range(len(TIERS)):
        changes = [
            Change(have.get(key), item)
            for key, item in want.items()
            if tier_of(item) == tier and have.get(key) != item
        ]
        results += kernel.apply(changes)
    return results
