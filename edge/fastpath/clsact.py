"""Messages for a clsact qdisc and the BPF filters on it, used where tcx is missing (before kernel 6.6). Pure.

Layouts: <linux/rtnetlink.h> (struct tcmsg), <linux/pkt_sched.h>, <linux/pkt_cls.h>.
"""

from __future__ import annotations

import socket
import sys

from edge.net import messages as nl

RTM_NEWQDISC, RTM_DELQDISC = 36, 37
RTM_NEWTFILTER, RTM_DELTFILTER, RTM_GETTFILTER = 44, 45, 46

INGRESS, EGRESS = 0xFFFFFFF2, 0xFFFFFFF3
"""Parents of filters: which frames of the device they see."""

_QDISC_HANDLE, _QDISC_PARENT = 0xFFFF0000, 0xFFFFFFF1

TCA_KIND, TCA_OPTIONS = 1, 2
TCA_BPF_FD, TCA_BPF_NAME, TCA_BPF_FLAGS, TCA_BPF_ID = 6, 7, 8, 11
TCA_BPF_FLAG_ACT_DIRECT = 1

FIRST_PRIORITY = 0xED6C
"""Of our filters' priorities: out of the way of those that an operator adds by hand. Lower ones run first."""

_FILTER_HANDLE = 1
_ETH_P_ALL = 0x0003


def new_qdisc(ifindex: int) -> nl.Request:
    """Give a device its clsact qdisc; refused with EEXIST when it has one."""
    return nl.Request(RTM_NEWQDISC, nl.NLM_F_CREATE | nl.NLM_F_EXCL, _qdisc(ifindex))


def delete_qdisc(ifindex: int) -> nl.Request:
    """Take the clsact qdisc and all its filters off a device."""
    return nl.Request(RTM_DELQDISC, 0, _qdisc(ifindex))


def new_filter(ifindex: int, parent: int, priority: int, program: int, name: str) -> nl.Request:
    """Run the BPF program of that descriptor for every frame at `parent`; its verdict is the filter's."""
    options = (
        nl.u32(TCA_BPF_FD, program)
        + nl.text(TCA_BPF_NAME, name)
        + nl.u32(TCA_BPF_FLAGS, TCA_BPF_FLAG_ACT_DIRECT)
    )
    payload = _filter(ifindex, parent, priority) + nl.attribute(TCA_OPTIONS | nl.NESTED, options)
    return nl.Request(RTM_NEWTFILTER, nl.NLM_F_CREATE | nl.NLM_F_EXCL, payload)


def delete_filter(ifindex: int, parent: int, priority: int) -> nl.Request:
    """Take our filter of that priority off."""
    return nl.Request(RTM_DELTFILTER, 0, _filter(ifindex, parent, priority))


def get_filter(ifindex: int, parent: int, priority: int) -> nl.Request:
    """Ask for our filter of that priority."""
    return nl.Request(RTM_GETTFILTER, 0, _filter(ifindex, parent, priority))


def dump_filters(ifindex: int, parent: int) -> nl.Request:
    """Ask for all filters at `parent`; there are none where the device has no clsact."""
    return nl.Request(RTM_GETTFILTER, nl.NLM_F_DUMP, nl.TCMSG.pack(0, ifindex, 0, parent, 0))


def parse_program(payload: bytes) -> int | None:
    """The id of the program that the filter of an answer runs, None when it runs none."""
    found = nl.attributes(payload, nl.TCMSG.size)
    if found.get(TCA_KIND, b"").rstrip(b"\0") != b"bpf":
        return None
    number = nl.attributes(found.get(TCA_OPTIONS, b"")).get(TCA_BPF_ID)
    return int.from_bytes(number, sys.byteorder) if number else None


def _qdisc(ifindex: int) -> bytes:
    return nl.TCMSG.pack(0, ifindex, _QDISC_HANDLE, _QDISC_PARENT, 0) + nl.text(TCA_KIND, "clsact")


def _filter(ifindex: int, parent: int, priority: int) -> bytes:
    information = priority << 16 | socket.htons(_ETH_P_ALL)
    return nl.TCMSG.pack(0, ifindex, _FILTER_HANDLE, parent, information) + nl.text(TCA_KIND, "bpf")
