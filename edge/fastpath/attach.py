"""A program on a device: tcx where the kernel has it (6.6), clsact else (facts: fastpath 1.5).

A tcx link is one descriptor: closing it takes the program off, and so does the death of the process,
kill -9 included. A clsact filter lives as long as its device; in a lab that is as long as the
sandbox's namespaces, which the kernel frees with the supervisor.

Several programs of ours may be at one hook, put there in any order. They run in the order of `Place`: on tcx
each is put in front of the first that comes after it, on clsact the place is the filter's priority.
"""

from __future__ import annotations

import enum
import errno
import os
import threading
from collections import defaultdict
from typing import Literal, Protocol

from edge.fastpath import bpf, clsact
from edge.net import messages as nl
from edge.net.namespaces import inside
from edge.net.netlink import Refusal, RouteSocket
from edge.net.snapshot import Link, parse_link

HookKind = Literal["auto", "tcx", "clsact"]


class Direction(enum.Enum):
    """Which frames of a device a program sees: (tcx attach type, clsact parent)."""

    INGRESS = (bpf.ATTACH_TCX_INGRESS, clsact.INGRESS)
    EGRESS = (bpf.ATTACH_TCX_EGRESS, clsact.EGRESS)


class Place(enum.IntEnum):
    """The order of our programs at one hook.

    A frame that comes back from an impairment was seen by the others before. Marking comes before the tag
    plane, which sends frames elsewhere; the wire is impaired at last.
    """

    IMPAIR_BACK = 0
    MARK = 1
    TAGS = 2
    IMPAIR_OUT = 3


class Attachment(Protocol):
    """A program that runs on a device until `close`."""

    def alive(self) -> bool:
        """Whether the kernel still runs it there."""

    def close(self) -> None:
        """Take it off. Quiet when the device is gone already."""


_Where = tuple[int, int]
"""A device: inode of its namespace, ifindex. Devices of two labs may have one ifindex."""

_guard = threading.Lock()
_links: defaultdict[tuple[_Where, Direction], list[TcxLink]] = defaultdict(list)
_qdiscs: dict[_Where, int] = {}
"""Devices whose clsact qdisc this process brought, and how many of its filters hold on to it."""


class TcxLink:
    """An attachment held by a descriptor."""

    def __init__(
        self, program: int, ifindex: int, direction: Direction, netns_fd: int, place: Place = Place.TAGS
    ) -> None:
        self._ifindex, self._place = ifindex, place
        self._fd: int
        self._hook = ((os.fstat(netns_fd).st_ino, ifindex), direction)
        with _guard, inside(netns_fd):
            # A link of a device that has gone says so; another device may have the index now.
            later = [link for link in _links.get(self._hook, ()) if link._place > place and link.alive()]
            first = min(later, key=lambda link: link._place, default=None)
            self._fd = bpf.create_tcx_link(
                program, ifindex, direction.value[0], None if first is None else first._fd
            )
            _links[self._hook].append(self)

    def alive(self) -> bool:
        """True while the device exists and nobody detached the link."""
        return bpf.tcx_link_ifindex(self._fd) == self._ifindex

    def close(self) -> None:
        """Detach."""
        with _guard:
            _links[self._hook].remove(self)
            if not _links[self._hook]:
                del _links[self._hook]
            # A child that is just being started has a copy of the descriptor until it becomes its program: to
            # close ours alone would leave the program where it is until then.
            bpf.detach_link(self._fd)
            os.close(self._fd)


class ClsactFilter:
    """An attachment by a filter, with a qdisc where there was none; that goes with our last filter."""

    def __init__(
        self, program: int, ifindex: int, direction: Direction, netns_fd: int, place: Place = Place.TAGS
    ) -> None:
        self._device = (os.fstat(netns_fd).st_ino, ifindex)
        self._filter = (ifindex, direction.value[1], clsact.FIRST_PRIORITY + place)
        self._program = bpf.program_id(program)
        self._route = RouteSocket(netns_fd)
        try:
            with _guard:
                self._bring(program)
        except BaseException:
            self._route.close()
            raise

    def _bring(self, program: int) -> None:
        brought = self._carry_out(clsact.new_qdisc(self._device[1]))
        if brought is None:
            _qdiscs[self._device] = 0
        elif brought.errno != errno.EEXIST:
            raise brought.error()
        if self._device in _qdiscs:
            _qdiscs[self._device] += 1
        refused = self._carry_out(clsact.new_filter(*self._filter, program, "edge"))
        if refused is not None:
            self._let_go()
            raise refused.error()

    def _let_go(self) -> None:
        if self._device in _qdiscs:
            _qdiscs[self._device] -= 1
            if not _qdiscs[self._device]:
                del _qdiscs[self._device]
                self._carry_out(clsact.delete_qdisc(self._device[1]))

    def _carry_out(self, request: nl.Request) -> Refusal | None:
        return self._route.transact([request])[0]

    def alive(self) -> bool:
        """True while the filter is there and runs our program."""
        answer = self._route.ask(clsact.get_filter(*self._filter))
        return not isinstance(answer, Refusal) and clsact.parse_program(answer.payload) == self._program

    def close(self) -> None:
        """Take the filter off, and the qdisc when it is ours and this was the last."""
        try:
            # Refused when the device, or what an operator took off by hand, is gone: nothing to do then.
            with _guard:
                self._carry_out(clsact.delete_filter(*self._filter))
                self._let_go()
        finally:
            self._route.close()


def attach(
    program: int,
    ifindex: int,
    direction: Direction,
    netns_fd: int,
    kind: HookKind = "auto",
    place: Place = Place.TAGS,
) -> Attachment:
    """Run `program` for the frames of a device in the namespace `netns_fd`. Raises OSError.

    `auto` tries tcx and falls back to clsact when the kernel does not know that link type (EINVAL; a
    tc program can also be refused with EOPNOTSUPP by kernels built without CONFIG_NET_XGRESS).
    """
    if kind != "clsact":
        try:
            return TcxLink(program, ifindex, direction, netns_fd, place)
        except OSError as error:
            if kind == "tcx" or error.errno not in (errno.EINVAL, errno.EOPNOTSUPP):
                raise
    return ClsactFilter(program, ifindex, direction, netns_fd, place)


def far_mac(ifindex: int, netns_fd: int) -> bytes | None:
    """MAC of a veth's other end if that is in another namespace, else None. Raises OSError.

    The kernel names the other end's namespace by a number of its own (netnsid) and answers for a
    device in there when asked with that number.
    """
    with RouteSocket(netns_fd) as route:
        near = _link(route, nl.get_link_at(ifindex))
        if not near.link or near.link_netnsid is None:
            return None
        return nl.mac_octets(_link(route, nl.get_link_at(near.link, near.link_netnsid)).mac)


def _link(route: RouteSocket, request: nl.Request) -> Link:
    answer = route.ask(request)
    if isinstance(answer, Refusal):
        raise answer.error()
    return parse_link(answer.payload)
