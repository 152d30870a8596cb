"""Checks of throughput: what TCP between two hosts gets, against the bandwidth of a circuit.

A few connections of the kernel's own TCP, so that losses at a policer, and the sawtooth that they make,
are real. Counted is what the receiver read, after the connections have found their speed. That it came by
the circuit and not by another one, a VPN or the Internet, the kernel's counters of the circuit's devices
must show: they count at least all that was received.
"""

from __future__ import annotations

import contextlib
import errno
import select
import socket
import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

from edge.errors import UsageError
from lab.access import LabAccess
from lab.check_model import ThroughputCheck
from lab.checks.carriage import Carriage, carried, circuit_carriers, other_carriers, read_octets
from lab.checks.result import Verdict
from lab.checks.talk import pair_of
from lab.probe import send_problem

CONNECTIONS = 4
"""At once: one alone would be set back by each loss."""

SETTLE_S = 0.5
"""How long they have to find their speed."""

CONNECT_S = 3.0
CHUNK = bytes(1 << 17)


def look_at_throughput(
    access: LabAccess, check: ThroughputCheck, cancelled: Callable[[], bool], seconds: float
) -> Verdict:
    """Measure once, for as long as the check says. Raises UsageError, EdgeError, OSError."""
    model = access.model
    circuit = next((item for item in model.circuits if item.name == check.circuit), None)
    if circuit is None:
        raise UsageError(f"no circuit {check.circuit} is ordered now")
    pair = pair_of(model, check.source, check.target, check.family)
    own = circuit_carriers(model, check.circuit)
    others = other_carriers(model, check.circuit, pair.namespaces)
    before = read_octets(access, (*own, *others))
    family = socket.AF_INET if pair.addresses[1].version == 4 else socket.AF_INET6
    with ExitStack() as stack:
        server = stack.enter_context(access.socket(pair.namespaces[1], family, socket.SOCK_STREAM, 0))
        server.bind((str(pair.addresses[1]), 0))
        server.listen(CONNECTIONS)
        server.setblocking(False)
        near, far = [], []
        for _ in range(CONNECTIONS):
            client = stack.enter_context(access.socket(pair.namespaces[0], family, socket.SOCK_STREAM, 0))
            client.bind((str(pair.addresses[0]), 0))
            problem = _connect(client, server.getsockname()[:2])
            if problem:
                who = f"{check.source} -> {check.target}"
                said = send_problem(OSError(problem, ""), pair.addresses[1])
                return Verdict(False, f"{who}: no TCP connection: {said}", {"errno": problem})
            accepted = _accept(server)
            if accepted is None:
                return Verdict(False, f"{check.source} -> {check.target}: no TCP connection", {})
            near.append(client)
            far.append(stack.enter_context(accepted))
        senders, receivers = (near, far) if check.way == "out" else (far, near)
        octets, measured_s, received = _measure(senders, receivers, check.seconds, cancelled)
    after = read_octets(access, (*own, *others))
    came = Carriage(received, carried(own, before, after), carried(others, before, after))
    return judge_throughput(check, circuit.bandwidth_bps, octets, measured_s, came)


def _connect(client: socket.socket, to: tuple[str, int]) -> int:
    """Connect within CONNECT_S; 0 or the error's number."""
    client.setblocking(False)
    problem = client.connect_ex(to)
    if problem != errno.EINPROGRESS:
        return problem
    poller = select.poll()
    poller.register(client, select.POLLOUT)
    if not poller.poll(CONNECT_S * 1000):
        return errno.ETIMEDOUT
    return client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)


def _accept(server: socket.socket) -> socket.socket | None:
    poller = select.poll()
    poller.register(server, select.POLLIN)
    if not poller.poll(CONNECT_S * 1000):
        return None
    accepted, _ = server.accept()
    accepted.setblocking(False)
    return accepted


def _measure(
    senders: list[socket.socket],
    receivers: list[socket.socket],
    seconds: float,
    cancelled: Callable[[], bool],
) -> tuple[int, float, int]:
    """(octets received, in how many seconds) once the connections have settled; octets received in all."""
    by_fd = {sock.fileno(): sock for sock in (*senders, *receivers)}
    poller = select.poll()
    for sock in senders:
        poller.register(sock, select.POLLOUT)
    for sock in receivers:
        poller.register(sock, select.POLLIN)
    sending = {sock.fileno() for sock in senders}
    buffer = bytearray(1 << 18)
    begin = time.monotonic()
    settled: float | None = None
    octets = early = 0
    while (now := time.monotonic()) < begin + SETTLE_S + seconds and not cancelled():
        if settled is None and now >= begin + SETTLE_S:
            settled, early, octets = now, octets, 0
        for fd, _ in poller.poll(100):
            with contextlib.suppress(BlockingIOError):
                if fd in sending:
                    by_fd[fd].send(CHUNK)
                else:
                    octets += by_fd[fd].recv_into(buffer)
    return octets, now - settled if settled is not None else 0.0, early + octets


def judge_throughput(
    check: ThroughputCheck, bandwidth_bps: int, octets: int, measured_s: float, came: Carriage
) -> Verdict:
    """Whether the throughput is within what the check wants, and all of it came by the circuit. Pure."""
    bps = octets * 8 / measured_s if measured_s > 0 else 0.0
    least = _limit(check.least_percent, check.least_bps, bandwidth_bps)
    most = _limit(check.most_percent, check.most_bps, bandwidth_bps)
    share = 100 * bps / bandwidth_bps
    evidence: dict[str, Any] = {
        "bps": round(bps),
        "bandwidth_bps": bandwidth_bps,
        "percent": round(share, 1),
        "octets": octets,
        "seconds": round(measured_s, 3),
        "connections": CONNECTIONS,
        "received_octets": came.received,
        "circuit_octets": sum(came.circuit.values()),
        "links": {**came.circuit, **{name: came.others[name] for name in came.elsewhere}},
    }
    ends = (check.source, check.target) if check.way == "out" else (check.target, check.source)
    got = f"{ends[0]} -> {ends[1]}: {rate_words(bps)}, {share:.0f} % of circuit {check.circuit}'s "
    got += rate_words(bandwidth_bps)
    if not octets:
        return Verdict(False, f"{got}; nothing arrived", evidence)
    problems = []
    if least is not None and bps < least:
        problems.append(f"at least {rate_words(least)} expected")
    if most is not None and bps > most:
        problems.append(f"at most {rate_words(most)} expected")
    if came.part < 1:
        problems.append(_astray(check.circuit, came))
    if problems:
        return Verdict(False, "; ".join((got, *problems)), evidence)
    return Verdict(True, f"{got}, by {came.shares}", evidence)


def _astray(circuit: str, came: Carriage) -> str:
    # Rounded down, for 99.6 % is not all of it.
    percent = int(100 * came.part)
    words = f"{f'only {percent}' if percent else 'less than 1'} % of it crossed circuit {circuit}"
    return f"{words}; it went by {', '.join(came.elsewhere)}" if came.elsewhere else words


def _limit(percent: float | None, bps: int | None, bandwidth_bps: int) -> float | None:
    return bandwidth_bps * percent / 100 if percent is not None else bps


def rate_words(bps: float) -> str:
    """Bits per second for people."""
    for size, unit in ((1e9, "Gbit/s"), (1e6, "Mbit/s"), (1e3, "kbit/s")):
        if bps >= size:
            return f"{bps / size:.3g} {unit}"
    return f"{bps:.0f} bit/s"
