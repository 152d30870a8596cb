"""netem on a device as netlink messages: encode, decode. Pure.

The kernel's own impairment, taken only where the user asks for it. Layouts: <linux/pkt_sched.h> (struct
tc_netem_qopt and TCA_NETEM_*), tc-netem(8). It differs from ours (csrc/impair.h): frames overtake one another
when jitter is larger than their distance, and before kernel 6.6 it has no seed.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from edge.net import messages as nl
from edge.net.objects.frames import Impairment

TCA_NETEM_REORDER, TCA_NETEM_RATE, TCA_NETEM_RATE64 = 3, 6, 8
TCA_NETEM_LATENCY64, TCA_NETEM_JITTER64, TCA_NETEM_PRNG_SEED = 10, 11, 14

FRAMES = 10_000
"""Most frames that wait; netem's own default of 1000 is full at 12 ms of 1 Gbit/s."""

_PPM = 1_000_000
_CERTAIN = 0xFFFFFFFF
_ROOT = 0xFFFFFFFF
_QOPT = struct.Struct("=6I")
_RATE = struct.Struct("=IiIi")
_REORDER = struct.Struct("=II")


@dataclass(frozen=True, slots=True)
class FoundNetem:
    """A netem that is the root queue of a device. seed: None where the kernel does not tell it."""

    index: int
    delay_ns: int
    jitter_ns: int
    loss_ppm: int
    duplicate_ppm: int
    reorder_ppm: int
    rate_bps: int | None
    seed: int | None


def _part(ppm: int) -> int:
    return (ppm * _CERTAIN + _PPM // 2) // _PPM


def _ppm(part: int) -> int:
    return (part * _PPM + _CERTAIN // 2) // _CERTAIN


def in_the_way(payload: bytes, index: int) -> str:
    """The kind of a queue that somebody gave device `index` as its root; empty for netem and for others.

    The kernel's default queue has no handle.
    """
    _, at, handle, parent, _ = nl.TCMSG.unpack_from(payload)
    kind = nl.attributes(payload, nl.TCMSG.size).get(nl.TCA_KIND, b"").rstrip(b"\0").decode()
    return kind if (at, parent) == (index, _ROOT) and handle and kind != "netem" else ""


def put(index: int, wanted: Impairment) -> nl.Request:
    """Give a device its netem, or other values. It takes the place of any other root queue."""
    # The first struct counts time in ticks of 32 bits; the attributes with 64 bits win where they are known.
    options = _QOPT.pack(
        0,
        FRAMES,
        _part(wanted.loss_ppm),
        1 if wanted.reorder_ppm else 0,
        _part(wanted.duplicate_ppm),
        0,
    )
    options += nl.attribute(TCA_NETEM_LATENCY64, struct.pack("=q", wanted.delay_ns))
    options += nl.attribute(TCA_NETEM_JITTER64, struct.pack("=q", wanted.jitter_ns))
    options += nl.attribute(TCA_NETEM_REORDER, _REORDER.pack(_part(wanted.reorder_ppm), 0))
    octets_per_s = (wanted.rate_bps or 0) // 8
    options += nl.attribute(TCA_NETEM_RATE, _RATE.pack(min(octets_per_s, _CERTAIN), 0, 0, 0))
    if octets_per_s > _CERTAIN:
        options += nl.attribute(TCA_NETEM_RATE64, struct.pack("=Q", octets_per_s))
    options += nl.attribute(TCA_NETEM_PRNG_SEED, struct.pack("=Q", wanted.seed))
    payload = nl.TCMSG.pack(0, index, 0, _ROOT, 0) + nl.text(nl.TCA_KIND, "netem")
    flags = nl.NLM_F_CREATE | nl.NLM_F_REPLACE
    return nl.Request(nl.RTM_NEWQDISC, flags, payload + nl.attribute(nl.TCA_OPTIONS, options))


def parse(payload: bytes) -> FoundNetem | None:
    """The netem of an RTM_NEWQDISC; None for any other queue, and for one that is not a device's root."""
    _, index, _, parent, _ = nl.TCMSG.unpack_from(payload)
    found = nl.attributes(payload, nl.TCMSG.size)
    options = found.get(nl.TCA_OPTIONS, b"")
    if found.get(nl.TCA_KIND, b"").rstrip(b"\0") != b"netem" or parent != _ROOT or len(options) < _QOPT.size:
        return None
    _, _, loss, gap, duplicate, _ = _QOPT.unpack_from(options)
    inner = nl.attributes(options, _QOPT.size)
    reorder = _REORDER.unpack_from(inner.get(TCA_NETEM_REORDER, bytes(8)))[0] if gap else 0
    rate = _RATE.unpack_from(inner.get(TCA_NETEM_RATE, bytes(16)))[0]
    if TCA_NETEM_RATE64 in inner:
        rate = struct.unpack("=Q", inner[TCA_NETEM_RATE64])[0]
    seed = inner.get(TCA_NETEM_PRNG_SEED)
    return FoundNetem(
        index,
        struct.unpack("=q", inner.get(TCA_NETEM_LATENCY64, bytes(8)))[0],
        struct.unpack("=q", inner.get(TCA_NETEM_JITTER64, bytes(8)))[0],
        _ppm(loss),
        _ppm(duplicate),
        _ppm(reorder),
        rate * 8 or None,
        struct.unpack("=Q", seed)[0] if seed else None,
    )
