"""Checks of frames on a link: with exactly these tags, of this protocol.

Some protocols are quiet: BGP says something once a minute, ARP when a neighbour is forgotten. So the
customer's end of a peering with these tags is made to speak, by real packets through its subinterface.
"""

from __future__ import annotations

import select
import socket
import struct
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Any

from edge.model import Address
from lab.access import LabAccess
from lab.capture import FrameSource
from lab.checks.result import Verdict
from lab.frames import ETHERTYPE_ARP, ETHERTYPE_IPV4, FrameSummary, summarize
from lab.lookup import other_end, sessions_of
from lab.model import FrameCheck, LabModel, PeeringEnd
from lab.places import resolve_where
from lab.probe import ping
from lab.routing import refresh

SNAPLEN = 256
STIMULUS_EVERY_S = 0.5
_SHOWN = 6
"""Other kinds of frames named in the words of a failure."""

Kind = tuple[tuple[int, ...], str, tuple[int, ...] | None, int | None]
"""VLAN ids, protocol, and where the check asks for them the tags' ethertypes and the DSCP."""


@dataclass(frozen=True, slots=True)
class Stimulus:
    """Somebody who can be made to speak across a peering: its end, and the neighbour's address."""

    end: PeeringEnd
    neighbor: Address


def stimuli(model: LabModel, check: FrameCheck) -> tuple[Stimulus, ...]:
    """The customer's ends of the peerings that use these tags and may pass this link. Pure."""
    return tuple(_stimuli(model, check))


def _stimuli(model: LabModel, check: FrameCheck) -> Iterator[Stimulus]:
    link = next((item for item in model.links if item.name == check.link), None)
    for end in model.peering_ends:
        far = other_end(model, end)
        if end.side != "customer" or far is None:
            continue
        # Tags may be translated on the way: either end may be the one that has those of the check.
        stacks = {tuple(tag.vid for tag in item.tags) for item in (end, far)}
        elsewhere = link and link.circuit and (link.circuit, link.connection) != (end.circuit, end.connection)
        if check.tags in stacks and not elsewhere:
            for address in far.addresses:
                yield Stimulus(end, address.ip)


def look_for_frame(
    access: LabAccess, check: FrameCheck, cancelled: Callable[[], bool], seconds: float
) -> Verdict:
    """Listen on the link until such a frame passes, at most `seconds`. Raises UsageError, EdgeError."""
    seen: Counter[Kind] = Counter()
    end = time.monotonic() + seconds
    next_stimulus = time.monotonic()
    with FrameSource(access, resolve_where(access.model, check.link), SNAPLEN) as source:
        poller = select.poll()
        for fd in source.fds():
            poller.register(fd, select.POLLIN)
        while True:
            now = time.monotonic()
            if now >= next_stimulus:
                for stimulus in stimuli(access.model, check):
                    stimulate(access, check, stimulus)
                next_stimulus = now + STIMULUS_EVERY_S
            wait = max(0.0, min(next_stimulus, end) - time.monotonic())
            for frame in source.read([fd for fd, _ in poller.poll(-int(-wait * 1000 // 1))]):
                summary = summarize(frame.data)
                seen[_kind(check, summary)] += 1
                if fits(check, summary):
                    words = f"{check.link}: {summary}, {frame.length} octets"
                    return Verdict(True, words, {"frame": frame.data.hex(), "length": frame.length})
            if time.monotonic() >= end or cancelled():
                return _not_seen(check, seconds, seen)


def fits(check: FrameCheck, summary: FrameSummary) -> bool:
    """Whether a frame is one that the check waits for. Pure."""
    return (
        summary.vids == check.tags
        and check.protocol in ("any", summary.protocol)
        and check.tpids in (None, summary.tpids)
        and check.dscp in (None, summary.dscp)
    )


def _kind(check: FrameCheck, summary: FrameSummary) -> Kind:
    """What of a frame matters to the check."""
    tpids = summary.tpids if check.tpids is not None else None
    return summary.vids, summary.protocol, tpids, summary.dscp if check.dscp is not None else None


def _kind_words(kind: Kind) -> str:
    vids, protocol, tpids, dscp = kind
    text = f"{'/'.join(map(str, vids)) or 'untagged'} {protocol}".rstrip()
    text += f" ethertypes {'/'.join(f'0x{one:04x}' for one in tpids)}" if tpids else ""
    return f"{text} DSCP {dscp}" if dscp is not None else text


def _not_seen(check: FrameCheck, seconds: float, seen: Counter[Kind]) -> Verdict:
    wanted = _kind_words(
        (check.tags, "" if check.protocol == "any" else check.protocol, check.tpids, check.dscp)
    )
    others = ", ".join(f"{count} {_kind_words(kind)}" for kind, count in seen.most_common(_SHOWN))
    evidence = {
        "seen": [
            {"tags": list(v), "protocol": p, "frames": n, **_more(tpids, dscp)}
            for (v, p, tpids, dscp), n in seen.items()
        ]
    }
    words = f"{check.link}: no frame {wanted} in {seconds:.1f} s; seen: {others or 'nothing'}"
    return Verdict(False, words, evidence, final=True)


def _more(tpids: tuple[int, ...] | None, dscp: int | None) -> dict[str, Any]:
    types = {} if tpids is None else {"ethertypes": [f"0x{one:04x}" for one in tpids]}
    return types if dscp is None else {**types, "dscp": dscp}


def stimulate(access: LabAccess, check: FrameCheck, stimulus: Stimulus) -> None:
    """Make the customer's end send a frame of the check's protocol; BFD speaks by itself.

    Raises EdgeError, OSError.
    """
    namespace, family = stimulus.end.namespace, stimulus.neighbor.version
    if check.protocol == "bgp":
        _refresh_routes(access, stimulus)
    elif check.protocol == "arp" and isinstance(stimulus.neighbor, IPv4Address):
        _ask_arp(access, stimulus, stimulus.neighbor)
    elif check.protocol in ("any", {4: "icmp", 6: "icmp6"}[family]):
        ping(access, namespace, stimulus.neighbor, count=1, deadline_s=0.2)


def _refresh_routes(access: LabAccess, stimulus: Stimulus) -> None:
    """Send our routes again and ask the neighbour for its own (RFC 2918); the session is not disturbed."""
    spaces = (vrf for router in access.model.routers for vrf in router.vrfs)
    vrf = next(vrf for vrf in spaces if vrf.namespace == stimulus.end.namespace)
    for item in sessions_of(access.model, stimulus.end):
        refresh(access, vrf, item.session)


def _ask_arp(access: LabAccess, stimulus: Stimulus, neighbor: IPv4Address) -> None:
    """Broadcast an ARP request (RFC 826) from the subinterface for its neighbour."""
    own = next((item.ip for item in stimulus.end.addresses if item.version == 4), None)
    if own is None:
        return
    namespace, device = stimulus.end.namespace, stimulus.end.device
    with access.socket(namespace, socket.AF_PACKET, socket.SOCK_RAW, 0) as sock:
        sock.bind((device, 0))
        mac: bytes = sock.getsockname()[4]
        header = b"\xff" * 6 + mac + struct.pack("!H", ETHERTYPE_ARP)
        body = struct.pack("!HHBBH", 1, ETHERTYPE_IPV4, 6, 4, 1) + mac + own.packed + bytes(6)
        sock.send(header + body + neighbor.packed)
