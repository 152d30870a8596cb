"""A program on a device: tcx where the kernel has it (6.6), clsact else (facts: fastpath 1.5).

A tcx link is one descriptor: closing it takes the program off, and so does the death of the process,
kill -9 included. A clsact filter lives as long as its device; in a lab that is as long as the
sandbox's namespaces, which the kernel frees with the supervisor.
"""

from __future__ import annotations

import contextlib
import enum
import errno
import os
from collections.abc import Iterator
from typing import Literal, Protocol

from edge.fastpath import bpf
from edge.fastpath.rtnetlink import CLSACT_EGRESS, CLSACT_INGRESS, Rtnetlink
from edge.net.namespaces import CLONE_NEWNET, inside, setns, unshare

HookKind = Literal["auto", "tcx", "clsact"]


class Direction(enum.Enum):
    """Which frames of a device a program sees: (tcx attach type, clsact parent)."""

    INGRESS = (bpf.ATTACH_TCX_INGRESS, CLSACT_INGRESS)
    EGRESS = (bpf.ATTACH_TCX_EGRESS, CLSACT_EGRESS)


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

    def __init__(self, program: int, ifindex: int, direction: Direction) -> None:
        self._netlink = Rtnetlink()
        self._ifindex, self._parent = ifindex, direction.value[1]
        self._own_qdisc = False
        try:
            self._program = bpf.program_id(program)
            self._own_qdisc = self._netlink.add_clsact(ifindex)
            self._netlink.add_filter(ifindex, self._parent, program, "edge")
        except OSError:
            self._remove_qdisc()
            self._netlink.close()
            raise

    def _remove_qdisc(self) -> None:
        if self._own_qdisc:
            with contextlib.suppress(OSError):
                self._netlink.delete_clsact(self._ifindex)

    def alive(self) -> bool:
        """True while the filter is there and runs our program."""
        return self._netlink.filter_program(self._ifindex, self._parent) == self._program

    def close(self) -> None:
        """Take the filter off, and the qdisc when it is ours."""
        with contextlib.suppress(OSError):
            self._netlink.delete_filter(self._ifindex, self._parent)
        self._remove_qdisc()
        self._netlink.close()


def attach(
    program: int, ifindex: int, direction: Direction, netns_fd: int, kind: HookKind = "auto"
) -> Attachment:
    """Run `program` for the frames of a device in the namespace `netns_fd`. Raises OSError.

    `auto` tries tcx and falls back to clsact when the kernel does not know that link type (EINVAL; a
    tc program can also be refused with EOPNOTSUPP by kernels built without CONFIG_NET_XGRESS).
    """
    with inside(netns_fd):
        if kind == "clsact":
            return ClsactFilter(program, ifindex, direction)
        try:
            return TcxLink(program, ifindex, direction)
        except OSError as error:
            if kind == "tcx" or error.errno not in (errno.EINVAL, errno.EOPNOTSUPP):
                raise
        return ClsactFilter(program, ifindex, direction)


def far_mac(ifindex: int, netns_fd: int) -> bytes | None:
    """MAC of a veth's other end if that is in another namespace, else None. Raises OSError."""
    with inside(netns_fd):
        netlink = Rtnetlink()
    try:
        return netlink.far_mac(ifindex)
    finally:
        netlink.close()


@contextlib.contextmanager
def scratch_namespace() -> Iterator[int]:
    """A descriptor of a nameless network namespace, gone after the block. Raises OSError.

    Only its loopback exists, down, with ifindex 1. The calling thread is back home in the block.
    """
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        unshare(CLONE_NEWNET)
        try:
            fd = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        finally:
            setns(home)
    finally:
        os.close(home)
    try:
        yield fd
    finally:
        os.close(fd)
