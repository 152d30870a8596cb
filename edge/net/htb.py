"""Queues of a port as netlink octets: hierarchical token buckets (HTB) and the queues at their leaves. Pure.

Layouts: <linux/pkt_sched.h> (tc_ratespec, tc_htb_glob, tc_htb_opt, tc_fq_codel_*), <linux/gen_stats.h>,
<linux/rtnetlink.h> (tcmsg). A class is `1:minor`; its parent is another class, or the root `1:`.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Literal

from edge.net import messages as nl

RTM_NEWTCLASS, RTM_DELTCLASS, RTM_GETTCLASS = 40, 41, 42

MAJOR = 1
"""Our HTB's handle is `1:`, as skb->priority names its classes (facts, fast path 1.6)."""

ROOT = MAJOR << 16

TICK_NS = 64
"""The kernel's unit of time for bursts (PSCHED_TICKS2NS)."""

LEAF_MAJORS = {"bfifo": 0x1000, "fq_codel": 0x2000}
"""The queue of class 1:x has the handle (0x1000 + x), or (0x2000 + x): apart from those that the kernel gives
out itself (0x8000 and more), and another one for each kind, since a queue cannot change its kind under one
handle. So x is less than 0x1000: edge.net.objects.frames.TREES_MAX."""

TCA_STATS2 = 7
_TCA_HTB_PARMS, _TCA_HTB_INIT, _TCA_HTB_RATE64, _TCA_HTB_CEIL64 = 1, 2, 6, 7
_TCA_STATS_BASIC, _TCA_STATS_QUEUE, _TCA_STATS_APP = 1, 3, 4
_TCA_FQ_CODEL_TARGET, _TCA_FQ_CODEL_LIMIT, _TCA_FQ_CODEL_ECN = 1, 2, 4
_HTB_VERSION = 3
_R2Q = 10
"""Only used for classes without a quantum, of which we have none."""

_RATESPEC = struct.Struct("=BBHhHI")
_OPT_TAIL = struct.Struct("=IIIII")
_GLOB = struct.Struct("=IIIII")
_BASIC = struct.Struct("=QI")
_QUEUE = struct.Struct("=IIIII")
_XSTATS = struct.Struct("=II")

LeafKind = Literal["fq_codel", "bfifo"]


@dataclass(frozen=True, slots=True)
class HtbClass:
    """A class: minor and parent are those of `1:minor`, parent 0 is the root.

    rate_octets, ceil_octets: octets per second that it is sure of, and at most gets. burst_ticks,
    ceil_burst_ticks: how long it may send at once, in TICK_NS at its own rate. quantum: octets in turn
    when it borrows. prio: 0 borrows first.
    """

    minor: int
    parent: int
    rate_octets: int
    ceil_octets: int
    burst_ticks: int
    ceil_burst_ticks: int
    quantum: int
    prio: int
    overhead: int = 0


@dataclass(frozen=True, slots=True)
class Leaf:
    """The queue of a class. limit: octets of a `bfifo`, packets of a `fq_codel`, which has a target delay."""

    minor: int
    kind: LeafKind
    limit: int
    target_us: int = 0


@dataclass(frozen=True, slots=True)
class Counts:
    """What a class or its queue counted. Octets of frames without the overhead; backlog is what waits now."""

    packets: int = 0
    octets: int = 0
    drops: int = 0
    backlog_packets: int = 0
    backlog_octets: int = 0
    borrowed: int = 0


@dataclass(frozen=True, slots=True)
class FoundQueue:
    """A queueing discipline as it is: whose (`parent`; TC_H_ROOT of the device), what, how much was counted.

    default: minor of an HTB's class for frames that name none.
    """

    index: int
    handle: int
    parent: int
    kind: str
    default: int = 0
    limit: int = 0
    counts: Counts = Counts()


def burst_ticks(octets: int, rate_octets: int) -> int:
    """The time that `octets` take at a rate, in the kernel's ticks."""
    return octets * 1_000_000_000 // rate_octets // TICK_NS


def _tcmsg(index: int, handle: int, parent: int) -> bytes:
    return nl.TCMSG.pack(0, index, handle, parent, 0)


def new_root(index: int, default: int) -> nl.Request:
    """An HTB as a device's queue, in the place of any other; frames that name no class go to `default`."""
    glob = _GLOB.pack(_HTB_VERSION, _R2Q, default, 0, 0)
    options = nl.attribute(_TCA_HTB_INIT, glob)
    octets = _tcmsg(index, ROOT, nl.TC_H_ROOT) + nl.text(nl.TCA_KIND, "htb")
    octets += nl.attribute(nl.TCA_OPTIONS | nl.NESTED, options)
    return nl.Request(nl.RTM_NEWQDISC, nl.NLM_F_CREATE | nl.NLM_F_REPLACE, octets)


def delete_root(index: int) -> nl.Request:
    """Take a device's HTB away with all its classes; the kernel's default queue comes back."""
    return nl.Request(nl.RTM_DELQDISC, 0, _tcmsg(index, ROOT, nl.TC_H_ROOT))


def put_class(index: int, item: HtbClass) -> nl.Request:
    """A class, made or changed in place: what waits in its queue stays there."""
    options = b""
    specs = b""
    for kind, octets in ((_TCA_HTB_RATE64, item.rate_octets), (_TCA_HTB_CEIL64, item.ceil_octets)):
        specs += _RATESPEC.pack(0, nl.TC_LINKLAYER_ETHERNET, item.overhead, 0, 0, min(octets, 0xFFFFFFFF))
        if octets > 0xFFFFFFFF:
            options += nl.attribute(kind, struct.pack("=Q", octets))
    tail = _OPT_TAIL.pack(item.burst_ticks, item.ceil_burst_ticks, item.quantum, 0, item.prio)
    options = nl.attribute(_TCA_HTB_PARMS, specs + tail) + options
    octets_all = _tcmsg(index, ROOT | item.minor, ROOT | item.parent) + nl.text(nl.TCA_KIND, "htb")
    octets_all += nl.attribute(nl.TCA_OPTIONS | nl.NESTED, options)
    return nl.Request(RTM_NEWTCLASS, nl.NLM_F_CREATE | nl.NLM_F_REPLACE, octets_all)


def delete_class(index: int, minor: int) -> nl.Request:
    """Take a class away with its queue. The kernel refuses while other classes have it as their parent."""
    return nl.Request(RTM_DELTCLASS, 0, _tcmsg(index, ROOT | minor, 0))


def put_leaf(index: int, leaf: Leaf) -> nl.Request:
    """The queue of a class, made, or changed in place when it is of that kind already."""
    octets = _tcmsg(index, (LEAF_MAJORS[leaf.kind] + leaf.minor) << 16, ROOT | leaf.minor)
    octets += nl.text(nl.TCA_KIND, leaf.kind)
    if leaf.kind == "bfifo":
        octets += nl.attribute(nl.TCA_OPTIONS, struct.pack("=I", leaf.limit))
    else:
        options = nl.u32(_TCA_FQ_CODEL_TARGET, leaf.target_us) + nl.u32(_TCA_FQ_CODEL_LIMIT, leaf.limit)
        octets += nl.attribute(nl.TCA_OPTIONS | nl.NESTED, options + nl.u32(_TCA_FQ_CODEL_ECN, 1))
    return nl.Request(nl.RTM_NEWQDISC, nl.NLM_F_CREATE | nl.NLM_F_REPLACE, octets)


def dump_classes(index: int) -> nl.Request:
    """Ask for all classes of a device, with what they counted."""
    return nl.Request(RTM_GETTCLASS, nl.NLM_F_DUMP, _tcmsg(index, 0, 0))


def parse_queue(payload: bytes) -> FoundQueue | None:
    """A queueing discipline of an RTM_NEWQDISC; None when it is not one that we ever make as HTB or leaf."""
    _, index, handle, parent, _ = nl.TCMSG.unpack_from(payload)
    found = nl.attributes(payload, nl.TCMSG.size)
    kind = found.get(nl.TCA_KIND, b"").rstrip(b"\0").decode(errors="replace")
    if kind not in ("htb", "bfifo", "fq_codel"):
        return None
    raw = found.get(nl.TCA_OPTIONS, b"")
    default = limit = 0
    if kind == "htb":
        init = nl.attributes(raw).get(_TCA_HTB_INIT, b"")
        default = _GLOB.unpack(init[: _GLOB.size].ljust(_GLOB.size, b"\0"))[2]
    elif kind == "bfifo":
        limit = struct.unpack("=I", raw[:4].ljust(4, b"\0"))[0]
    else:
        value = nl.attributes(raw).get(_TCA_FQ_CODEL_LIMIT, bytes(4))
        limit = struct.unpack("=I", value)[0]
    return FoundQueue(index, handle, parent, kind, default, limit, _counts(found))


def parse_class(payload: bytes) -> tuple[HtbClass, Counts] | None:
    """A class of our HTB and what it counted, of an RTM_NEWTCLASS; None for classes of others."""
    _, _, handle, parent, _ = nl.TCMSG.unpack_from(payload)
    found = nl.attributes(payload, nl.TCMSG.size)
    if found.get(nl.TCA_KIND, b"").rstrip(b"\0") != b"htb" or handle >> 16 != MAJOR:
        return None
    options = nl.attributes(found.get(nl.TCA_OPTIONS, b""))
    parameters = options.get(_TCA_HTB_PARMS, b"")
    if len(parameters) < 2 * _RATESPEC.size + _OPT_TAIL.size:
        return None
    _, _, overhead, _, _, rate = _RATESPEC.unpack_from(parameters)
    ceil = _RATESPEC.unpack_from(parameters, _RATESPEC.size)[5]
    burst, ceil_burst, quantum, _, prio = _OPT_TAIL.unpack_from(parameters, 2 * _RATESPEC.size)
    if _TCA_HTB_RATE64 in options:
        rate = struct.unpack("=Q", options[_TCA_HTB_RATE64])[0]
    if _TCA_HTB_CEIL64 in options:
        ceil = struct.unpack("=Q", options[_TCA_HTB_CEIL64])[0]
    above = 0 if parent == nl.TC_H_ROOT else parent & 0xFFFF
    item = HtbClass(handle & 0xFFFF, above, rate, ceil, burst, ceil_burst, quantum, prio, overhead)
    return item, _counts(found)


def _counts(found: dict[int, bytes]) -> Counts:
    stats = nl.attributes(found.get(TCA_STATS2, b""))
    octets, packets = _BASIC.unpack_from(stats.get(_TCA_STATS_BASIC, b"").ljust(_BASIC.size, b"\0"))
    queue = stats.get(_TCA_STATS_QUEUE, b"").ljust(_QUEUE.size, b"\0")
    waiting, backlog, drops, _, _ = _QUEUE.unpack_from(queue)
    # HTB's own: lends and borrows come first. Another discipline's means something else, and is not asked.
    _, borrowed = _XSTATS.unpack_from(stats.get(_TCA_STATS_APP, b"").ljust(_XSTATS.size, b"\0"))
    return Counts(packets, octets, drops, waiting, backlog, borrowed)
