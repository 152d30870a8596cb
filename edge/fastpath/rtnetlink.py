"""The few rtnetlink messages of the tag plane, packed by hand: clsact, its filters, a veth's far end.

Used where tcx is missing (kernel before 6.6) and to learn a MAC address. A socket stays in the
namespace in which it was opened. Layouts: <linux/rtnetlink.h>, <linux/pkt_sched.h>, <linux/if_link.h>.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterator

REQUEST, ACK, EXCL, CREATE = 0x1, 0x4, 0x200, 0x400
MESSAGE_ERROR = 2
RTM_NEWLINK, RTM_GETLINK = 16, 18
RTM_NEWQDISC, RTM_DELQDISC = 36, 37
RTM_NEWTFILTER, RTM_DELTFILTER, RTM_GETTFILTER = 44, 45, 46

CLSACT_HANDLE, CLSACT_PARENT = 0xFFFF0000, 0xFFFFFFF1
CLSACT_INGRESS, CLSACT_EGRESS = 0xFFFFFFF2, 0xFFFFFFF3

TCA_KIND, TCA_OPTIONS = 1, 2
TCA_BPF_FD, TCA_BPF_NAME, TCA_BPF_FLAGS, TCA_BPF_ID = 6, 7, 8, 11
BPF_DIRECT_ACTION = 1

IFLA_ADDRESS, IFLA_LINK, IFLA_LINK_NETNSID, IFLA_TARGET_NETNSID = 1, 5, 37, 46

FILTER_PRIORITY = 0xED6E
"""Our filters' priority: out of the way of those that an operator adds by hand."""

FILTER_HANDLE = 1
_ETH_P_ALL = 0x0003
_NESTED = 0x8000
_ANSWER_TIMEOUT_S = 5.0


def attribute(kind: int, payload: bytes) -> bytes:
    """One netlink attribute, padded to 4 octets."""
    return struct.pack("=HH", len(payload) + 4, kind) + payload + bytes(-len(payload) % 4)


def attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    """The attributes in `data`, without the flag bits of their kinds."""
    at = 0
    while at + 4 <= len(data):
        length, kind = struct.unpack_from("=HH", data, at)
        if length < 4:
            return
        yield kind & 0x3FFF, data[at + 4 : at + length]
        at += (length + 3) & ~3


class Rtnetlink:
    """A socket in the namespace of the thread that opens it. Every method raises OSError."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, 0)
        self._socket.settimeout(_ANSWER_TIMEOUT_S)
        self._sequence = 0

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def _ask(self, kind: int, flags: int, body: bytes) -> bytes | None:
        """Send one request; the body of its answer, or None when it was only acknowledged."""
        self._sequence += 1
        header = struct.pack("=IHHII", 16 + len(body), kind, REQUEST | ACK | flags, self._sequence, 0)
        self._socket.send(header + body)
        answer = None
        while True:
            data = self._socket.recv(1 << 16)
            while len(data) >= 16:
                length, found, _flags, sequence, _pid = struct.unpack_from("=IHHII", data)
                message, data = data[16:length], data[(length + 3) & ~3 :]
                if sequence != self._sequence:
                    continue
                if found != MESSAGE_ERROR:
                    answer = message
                    continue
                error = -struct.unpack_from("=i", message)[0]
                if error:
                    raise OSError(error, os.strerror(error))
                return answer

    @staticmethod
    def _tc(ifindex: int, handle: int, parent: int, info: int = 0) -> bytes:
        return struct.pack("=B3xiIII", 0, ifindex, handle, parent, info)

    @staticmethod
    def _filter_info() -> int:
        return FILTER_PRIORITY << 16 | socket.htons(_ETH_P_ALL)

    def add_clsact(self, ifindex: int) -> bool:
        """Give a device its clsact qdisc; False when it had one."""
        body = self._tc(ifindex, CLSACT_HANDLE, CLSACT_PARENT) + attribute(TCA_KIND, b"clsact\0")
        try:
            self._ask(RTM_NEWQDISC, CREATE | EXCL, body)
        except FileExistsError:
            return False
        return True

    def delete_clsact(self, ifindex: int) -> None:
        """Take the clsact qdisc and all its filters off a device."""
        self._ask(RTM_DELQDISC, 0, self._tc(ifindex, CLSACT_HANDLE, CLSACT_PARENT))

    def add_filter(self, ifindex: int, parent: int, program: int, name: str) -> None:
        """Run a BPF program for every frame at `parent` (CLSACT_INGRESS, CLSACT_EGRESS)."""
        options = (
            attribute(TCA_BPF_FD, struct.pack("=I", program))
            + attribute(TCA_BPF_NAME, name.encode() + b"\0")
            + attribute(TCA_BPF_FLAGS, struct.pack("=I", BPF_DIRECT_ACTION))
        )
        body = self._tc(ifindex, FILTER_HANDLE, parent, self._filter_info())
        body += attribute(TCA_KIND, b"bpf\0") + attribute(TCA_OPTIONS | _NESTED, options)
        self._ask(RTM_NEWTFILTER, CREATE | EXCL, body)

    def delete_filter(self, ifindex: int, parent: int) -> None:
        """Take our filter off."""
        body = self._tc(ifindex, FILTER_HANDLE, parent, self._filter_info()) + attribute(TCA_KIND, b"bpf\0")
        self._ask(RTM_DELTFILTER, 0, body)

    def filter_program(self, ifindex: int, parent: int) -> int | None:
        """The id of the program that our filter runs, or None when the filter is not there."""
        body = self._tc(ifindex, FILTER_HANDLE, parent, self._filter_info()) + attribute(TCA_KIND, b"bpf\0")
        try:
            answer = self._ask(RTM_GETTFILTER, 0, body)
        except OSError:
            return None
        options = dict(attributes((answer or b"")[20:])).get(TCA_OPTIONS, b"")
        number = dict(attributes(options)).get(TCA_BPF_ID)
        return int(struct.unpack("=I", number)[0]) if number else None

    def _link(self, ifindex: int, extra: bytes = b"") -> dict[int, bytes]:
        body = struct.pack("=BxHiII", 0, 0, ifindex, 0, 0) + extra
        return dict(attributes((self._ask(RTM_GETLINK, 0, body) or b"")[16:]))

    def far_mac(self, ifindex: int) -> bytes | None:
        """MAC of the other end of a veth when that lies in another namespace, else None.

        The kernel names the other end's namespace by a number of its own (netnsid) and answers for a
        device in there when asked with that number.
        """
        near = self._link(ifindex)
        if IFLA_LINK not in near or IFLA_LINK_NETNSID not in near:
            return None
        far = self._link(
            struct.unpack("=i", near[IFLA_LINK])[0], attribute(IFLA_TARGET_NETNSID, near[IFLA_LINK_NETNSID])
        )
        return far.get(IFLA_ADDRESS)
