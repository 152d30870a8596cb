"""Checks of budgets: how late, how unsteady and how lossy packets between two hosts are, both ways.

A packet leaves every few milliseconds; the far end notes its arrival and sends one back. Both ends are on
one clock and the kernel stamps arrivals, so delays are one-way and true, however late this program runs.

Latency and jitter are those of the packets that arrived, and say nothing of the others. So a budget that does
not say how much may be lost fails when fewer than half of a way's packets arrive: it cannot be judged. One
that says so is judged by what arrives. Each verdict names the loss that was seen.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import struct
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

from lab.access import LabAccess
from lab.check_model import BudgetCheck, Way
from lab.checks.result import Verdict
from lab.checks.stimulus import OTHER_PORTS, TRIES, policy_between, stimulus_of
from lab.checks.talk import WAYS, bind, pair_of, set_dscp
from lab.probe import send_problem
from lab.sockets import TIMESTAMP_SPACE, enable_timestamps, timestamp_ns
from lab.traffic.quality import Arrival, delays_of, jitter

GRACE_S = 1.0
"""How long the last packets may be on their way beyond what the budget allows."""

LEAST_FOR_JITTER = 2
"""Packets that must arrive: jitter is between two of them."""

_PACKET = struct.Struct("!8sBIQ")
"""Token, way, number, time of sending in ns; filled up to an audio packet's size."""

_OCTETS = 160


@dataclass(slots=True)
class Run:
    """What was sent and what arrived, each way. errors: why some could not be sent, each once."""

    sent: dict[Way, int] = field(default_factory=lambda: {"out": 0, "in": 0})
    arrivals: dict[Way, list[Arrival]] = field(default_factory=lambda: {"out": [], "in": []})
    errors: dict[str, None] = field(default_factory=dict)

    def whole(self, packets: int) -> bool:
        """Whether all came there and back."""
        return all(len(self.arrivals[way]) >= packets for way in WAYS)


def look_at_budget(
    access: LabAccess, check: BudgetCheck, cancelled: Callable[[], bool], seconds: float
) -> Verdict:
    """One run of all packets, however much time is left. Raises UsageError, EdgeError, OSError."""
    run = _run(access, check, cancelled)
    return judge_budget(check, run)


def _run(access: LabAccess, check: BudgetCheck, cancelled: Callable[[], bool]) -> Run:
    model = access.model
    stimulus = stimulus_of(policy_between(model, check.source, check.target), check.class_name)
    pair = pair_of(model, check.source, check.target, check.family)
    near, target = pair.addresses
    family = socket.AF_INET if target.version == 4 else socket.AF_INET6
    token, run = os.urandom(8), Run()
    with ExitStack() as stack:
        server = stack.enter_context(access.socket(pair.namespaces[1], family, socket.SOCK_DGRAM, 0))
        client = stack.enter_context(access.socket(pair.namespaces[0], family, socket.SOCK_DGRAM, 0))
        for sock in (server, client):
            sock.setblocking(False)
            enable_timestamps(sock)
        port = stimulus.destination_port
        last = port + TRIES if port == OTHER_PORTS[1] else port
        port = bind(server, str(target), range(port, last + 1))
        set_dscp(client, stimulus.dscp)
        last = max(stimulus.source_port, stimulus.last_source_port)
        bind(client, str(near), range(stimulus.source_port, last + 1))
        poller = select.poll()
        poller.register(server, select.POLLIN)
        poller.register(client, select.POLLIN)
        begin, pace_s = time.monotonic(), check.pace_ms / 1000
        end = begin + check.packets * pace_s + GRACE_S + (check.latency_ms or 0) / 500
        while not run.whole(check.packets) and not cancelled() and (now := time.monotonic()) < end:
            number = run.sent["out"]
            due = begin + number * pace_s
            if number < check.packets and now >= due:
                _send(client, token, "out", number, (str(target), port), run)
                continue
            wait_s = (min(due, end) if number < check.packets else end) - now
            ready = {fd for fd, _ in poller.poll(-int(-wait_s * 1000 // 1))}
            if server.fileno() in ready:
                for number, sender in _take(server, token, "out", run):
                    _send(server, token, "in", number, sender, run)
            if client.fileno() in ready:
                _take(client, token, "in", run)
    return run


def _send(sock: socket.socket, token: bytes, way: Way, number: int, to: tuple[str, int], run: Run) -> None:
    run.sent[way] += 1
    head = _PACKET.pack(token, WAYS.index(way), number, time.time_ns())
    try:
        sock.sendto(head.ljust(_OCTETS, b"\0"), to)
    except OSError as error:
        # A way that is not there loses packets, too.
        run.errors[send_problem(error, _address(to[0]))] = None


def _address(text: str) -> Any:
    from ipaddress import ip_address

    return ip_address(text.partition("%")[0])


def _take(sock: socket.socket, token: bytes, way: Way, run: Run) -> list[tuple[int, tuple[str, int]]]:
    """Note what arrived; the numbers and senders of what is new."""
    new = []
    known = {item.number for item in run.arrivals[way]}
    with contextlib.suppress(BlockingIOError):
        while True:
            data, ancillary, _, sender = sock.recvmsg(2048, TIMESTAMP_SPACE)
            if len(data) < _PACKET.size:
                continue
            found, number_of_way, number, sent_ns = _PACKET.unpack_from(data)
            if found == token and number_of_way == WAYS.index(way) and number not in known:
                known.add(number)
                run.arrivals[way].append(Arrival(number, sent_ns, timestamp_ns(ancillary)))
                new.append((number, sender))
    return new


def judge_budget(check: BudgetCheck, run: Run) -> Verdict:
    """Whether both ways keep within the budget, and enough arrived to tell. Pure."""
    figures = {way: _figures(run.sent[way], run.arrivals[way]) for way in WAYS}
    evidence = {"out": figures["out"], "in": figures["in"], "errors": list(run.errors)}
    who = f"{check.source} -> {check.target}"
    errors = "".join(f"; {error}" for error in run.errors)
    if not run.arrivals["out"]:
        return Verdict(False, f"{who}: none of {run.sent['out']} packets arrived{errors}", evidence)
    if not run.arrivals["in"]:
        words = f"{who}: none of {run.sent['in']} packets came back from {check.target}{errors}"
        return Verdict(False, words, evidence)
    problems = [problem for way in WAYS for problem in _problems(check, way, figures[way])]
    if problems:
        there, back = (figures[way]["loss_percent"] for way in WAYS)
        lost = f"; loss {there:.3g} % there, {back:.3g} % back"
        return Verdict(False, f"{who}: {'; '.join(problems)}{lost}{errors}", evidence)
    words = ", ".join(
        f"{name} {max(figures[way][key] for way in WAYS):.3g} {unit}"
        for name, key, unit in (
            ("latency", "latency_ms", "ms"),
            ("jitter", "jitter_ms", "ms"),
            ("loss", "loss_percent", "%"),
        )
    )
    return Verdict(True, f"{who}: {words} in {check.packets} packets each way", evidence)


def _figures(sent: int, arrivals: Sequence[Arrival]) -> dict[str, float]:
    delays = delays_of(arrivals)
    return {
        "sent": sent,
        "received": len(arrivals),
        "loss_percent": round(100 * (sent - len(arrivals)) / sent, 3) if sent else 0.0,
        "latency_ms": delays.p95,
        "latency_median_ms": delays.median,
        "latency_most_ms": delays.most,
        "jitter_ms": round(max(jitter(arrivals), default=0.0), 3),
    }


def _problems(check: BudgetCheck, way: Way, figures: Mapping[str, float]) -> list[str]:
    ends = (check.source, check.target) if way == "out" else (check.target, check.source)
    pair = f"from {ends[0]} to {ends[1]}"
    arrived = f"{figures['received']:.0f} of {figures['sent']:.0f} packets {pair} arrived"
    if check.loss_percent is None and 2 * figures["received"] < figures["sent"]:
        return [f"cannot be judged: only {arrived}; add loss: to say how many may be lost"]
    if check.jitter_ms is not None and figures["received"] < LEAST_FOR_JITTER:
        return [f"jitter cannot be judged: only {arrived}", *_over(check, pair, figures)]
    return _over(check, pair, figures)


def _over(check: BudgetCheck, pair: str, figures: Mapping[str, float]) -> list[str]:
    limits = (
        ("latency", "latency_ms", check.latency_ms, "ms"),
        ("jitter", "jitter_ms", check.jitter_ms, "ms"),
        ("loss", "loss_percent", check.loss_percent, "%"),
    )
    return [
        f"{name} {figures[key]:.3g} {unit} {pair}, at most {limit:g} {unit} allowed"
        for name, key, limit, unit in limits
        if limit is not None and figures[key] > limit
    ]
