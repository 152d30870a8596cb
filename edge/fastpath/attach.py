"""A program on a device: tcx where the kernel has it (6.6), clsact else (facts: fastpath 1.5).

A tcx link is one descriptor: closing it takes the program off, and so does the death of the process,
kill -9 included. A clsact filter lives as long as its device; in a lab that is as long as the
sandbox's namespaces, which the kernel frees with the supervisor.
"""

from __future__ import annotations

import enum
import errno
import os
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


class Attachment(Protocol):
    """A program that runs on a device until `close`."""

    def alive(self) -> bool:
        """Whether the kernel still runs it there."""

    def close(self) -> None:
        """Take it off. Quiet when the device is gone already."""


class TcxLink:
    """An attachment held by a descriptor."""

    def __init__(self, program: int, ifindex: int, direction: Direction) -> None:
        self._fd = bpf.create_tcx_link(program, ifindex, direction.value[0])
        self._ifindex = ifindex

    def alive(self) -> bool:
        """True while the device exists and nobody detached the link."""
        return bpf.tcx_link_ifindex(self._fd) == self._ifindex

    def close(self) -> None:
        """Detach."""
        os.close(self._fd)


class ClsactFilter:
    """An attachment by a qdisc and a filter; takes away the qdisc only if it brought it."""

    def __init__(self, program: int, ifindex: int, direction: Direction, netns_fd: int) -> None:
        self._ifindex, self._parent = ifindex, direction.value[1]
        self._program = bpf.program_id(program)
        self._undo: list[nl.Request] = []
        self._route = RouteSocket(netns_fd)
        try:
            self._bring(program)
        except BaseException:
            self.close()
            raise

    def _bring(self, program: int) -> None:
        brought = self._carry_out(clsact.new_qdisc(self._ifindex))
        if brought is None:
            self._undo.append(clsact.delete_qdisc(self._ifindex))
        elif brought.errno != errno.EEXIST:
            raise brought.error()
        refused = self._carry_out(clsact.new_filter(self._ifindex, self._parent, program, "edge"))
        if refused is not None:
            raise refused.error()
        self._undo.insert(0, clsact.delete_filter(self._ifindex, self._parent))

    def _carry_out(self, request: nl.Request) -> Refusal | None:
        return self._route.transact([request])[0]

    def alive(self) -> bool:
        """True while the filter is there and runs our program."""
        answer = self._route.ask(clsact.get_filter(self._ifindex, self._parent))
        return not isinstance(answer, Refusal) and clsact.parse_program(answer.payload) == self._program

    def close(self) -> None:
        """Take the filter off, and the qdisc when it is ours."""
        try:
            # Refused when the device, or what an operator took off by hand, is gone: nothing to do then.
            self._route.transact(self._undo)
        finally:
            self._route.close()


def attach(
    program: int, ifindex: int, direction: Direction, netns_fd: int, kind: HookKind = "auto"
) -> Attachment:
    """Run `program` for the frames of a device in the namespace `netns_fd`. Raises OSError.

    `auto` tries tcx and falls back to clsact when the kernel does not know that link type (EINVAL; a
    tc program can also be refused with EOPNOTSUPP by kernels built without CONFIG_NET_XGRESS).
    """
    if kind != "clsact":
        try:
            with inside(netns_fd):
                return TcxLink(program, ifindex, direction)
        except OSError as error:
            if kind == "tcx" or error.errno not in (errno.EINVAL, errno.EOPNOTSUPP):
                raise
    return ClsactFilter(program, ifindex, direction, netns_fd)


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
