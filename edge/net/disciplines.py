"""Queues brought about on ports, and changed there while traffic flows.

A change puts classes in place one by one: what waits in a queue stays, counters go on, no frame is lost to
the change. Only an HTB that is none of ours is taken away and made anew.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol

from edge.errors import CapabilityError, EdgeError, KernelError
from edge.net import htb
from edge.net import messages as nl
from edge.net.htb import Counts, FoundQueue, HtbClass, LeafKind
from edge.net.netlink import Refusal
from edge.net.objects.base import Endpoint, KernelObject, Key
from edge.net.objects.changes import Change
from edge.net.objects.frames import Queues
from edge.net.queues import UNSTEERED, ClassCounters, classes_of, counted, leaves_of, read_back
from edge.net.snapshot import Link, Snapshot
from edge.net.spaces import MissingError, Spaces

_GONE = (errno.ENODEV, errno.ENOENT, errno.EINVAL)
"""Answers when what shall go is not there: the device, its HTB (EINVAL in older kernels), a class."""


def requests(index: int, before: Queues | None, after: Queues, kind: LeafKind) -> list[nl.Request]:
    """The requests that turn the queues of a device into `after`. Pure.

    before: what is there; None or without trees when that cannot be kept.
    """
    if before is None or not before.trees:
        return [
            htb.new_root(index, UNSTEERED),
            *(htb.put_class(index, item) for item in classes_of(after)),
            *(htb.put_leaf(index, leaf) for leaf in leaves_of(after, kind)),
        ]
    old, new = ({item.minor: item for item in classes_of(queues)} for queues in (before, after))
    old_leaves, new_leaves = (
        {leaf.minor: leaf for leaf in leaves_of(queues, kind)} for queues in (before, after)
    )
    # The kernel cannot move a class below another parent, but that follows from its number.
    found = [htb.put_class(index, item) for minor, item in new.items() if old.get(minor) != item]
    found += [
        htb.put_leaf(index, leaf) for minor, leaf in new_leaves.items() if old_leaves.get(minor) != leaf
    ]
    gone = [item for minor, item in old.items() if minor not in new]
    children_first = sorted(gone, key=lambda item: item.parent == 0)
    return found + [htb.delete_class(index, item.minor) for item in children_first]


class QueuesLike(Protocol):
    """What brings Queues about: HTB in the kernel (Disciplines), or our engine (edge.fastpath.ringqueues)."""

    def create(self, changes: Sequence[Change]) -> list[EdgeError | None]:
        """Make or change queues; the result of each in order."""

    def delete(self, changes: Sequence[Change]) -> list[EdgeError | None]:
        """Take the `before` of each change away; the result of each in order. Gone counts as done."""

    def found(
        self, snapshots: Mapping[str, Snapshot], wanted: Mapping[Key, KernelObject]
    ) -> Iterable[Queues]:
        """The queues in force."""

    def counters(self, wanted: Iterable[Queues]) -> list[ClassCounters]:
        """What the queues of these ports counted; ports that have gone are passed over."""


class Disciplines:
    """Queues of the devices in the namespaces of `spaces`. One thread at a time.

    leaves: says which queues this kernel has at the ends of classes; asked once, when first needed.
    """

    def __init__(self, spaces: Spaces, leaves: Callable[[], LeafKind]) -> None:
        self._spaces = spaces
        self._ask = leaves
        self._kind: LeafKind | None = None

    @property
    def leaves(self) -> LeafKind:
        """The queue of classes that are not strict."""
        if self._kind is None:
            self._kind = self._ask()
        return self._kind

    def create(self, changes: Sequence[Change]) -> list[EdgeError | None]:
        """Make or change queues; the result of each in order."""
        return [self._bring(change) for change in changes]

    def _bring(self, change: Change) -> EdgeError | None:
        before, after = change.before, change.after
        assert isinstance(after, Queues)
        known = before if isinstance(before, Queues) else None
        try:
            index = self._spaces.index(after.at)
            if known is not None and not known.trees:
                refused = self._carry_out(after.at, [htb.delete_root(index)])
                if refused is not None and refused.errno not in _GONE:
                    return _error(after, refused)
            refused = self._carry_out(after.at, requests(index, known, after, self.leaves))
        except MissingError as error:
            return KernelError(str(after), error.errno, str(error))
        return None if refused is None else _error(after, refused)

    def delete(self, changes: Sequence[Change]) -> list[EdgeError | None]:
        """Take the `before` of each change away; the result of each in order. Gone counts as done."""
        results: list[EdgeError | None] = []
        for change in changes:
            subject = change.before
            assert isinstance(subject, Queues)
            try:
                index = self._spaces.index(subject.at)
                refused = self._carry_out(subject.at, [htb.delete_root(index)])
            except MissingError:
                refused = None
            gone = refused is None or refused.errno in _GONE
            results.append(None if gone or refused is None else _error(subject, refused))
        return results

    def _carry_out(self, at: Endpoint, wanted: Sequence[nl.Request]) -> Refusal | None:
        """Send requests in order; the first refusal."""
        try:
            answers = self._spaces.route(at.namespace).transact(wanted)
        except (EdgeError, OSError) as error:
            number = error.errno if isinstance(error, OSError) and error.errno else errno.ETIMEDOUT
            return Refusal(number, str(error))
        return next((answer for answer in answers if answer is not None), None)

    def found(
        self, snapshots: Mapping[str, Snapshot], wanted: Mapping[Key, KernelObject]
    ) -> Iterable[Queues]:
        """The queues that there are on the devices of `snapshots`. Raises OSError, EdgeError."""
        for namespace, snapshot in snapshots.items():
            by_index: dict[int, Link] = {link.index: link for link in snapshot.links}
            for index in {item.index for item in snapshot.queues if item.kind == "htb"} & by_index.keys():
                bare = Queues(Endpoint(namespace, by_index[index].name), ())
                known = wanted.get(bare.key)
                queues = read_back(
                    known if isinstance(known, Queues) else None,
                    bare,
                    [item for item in snapshot.queues if item.index == index],
                    self._classes(namespace, index),
                    self.leaves,
                )
                if queues is not None:
                    yield queues

    def counters(self, wanted: Iterable[Queues]) -> list[ClassCounters]:
        """What the queues of these ports counted; ports that have gone are passed over.

        Raises OSError, EdgeError.
        """
        disciplines: dict[str, list[FoundQueue]] = {}
        found: list[ClassCounters] = []
        for queues in wanted:
            namespace = queues.namespace
            try:
                index = self._spaces.index(queues.at)
                if namespace not in disciplines:
                    dump = self._spaces.route(namespace).dump(nl.dump_queues())
                    parsed = (htb.parse_queue(message.payload) for message in dump)
                    disciplines[namespace] = [item for item in parsed if item is not None]
                own = [item for item in disciplines[namespace] if item.index == index]
                found += counted(queues, own, self._classes(namespace, index))
            except MissingError:
                continue
        return found

    def _classes(self, namespace: str, index: int) -> list[tuple[HtbClass, Counts]]:
        found = self._spaces.route(namespace).dump(htb.dump_classes(index))
        parsed = (htb.parse_class(message.payload) for message in found if message.kind == htb.RTM_NEWTCLASS)
        return [item for item in parsed if item is not None]


def _error(subject: Queues, refusal: Refusal) -> EdgeError:
    if refusal.errno in (errno.ENOENT, errno.EOPNOTSUPP):
        return CapabilityError(
            f"{subject}: this kernel has no traffic classes (HTB)", "sudo modprobe sch_htb"
        )
    if refusal.errno == errno.EPERM:
        return CapabilityError(f"{subject}: the kernel does not let us", "run as root (CAP_NET_ADMIN)")
    return KernelError(str(subject), refusal.errno, str(refusal))
