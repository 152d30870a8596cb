"""Echo requests between two hosts, one after the other for as long as a test runs, and what became of them.

A thread sends them and takes the answers, with the kernel's receive times. A thread that gets no processor
sends later, and what was not sent is not lost; so a busy machine makes a measurement coarser, never worse.
"""

from __future__ import annotations

import math
import os
import struct
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from edge.errors import EdgeError
from lab import icmp
from lab.api import Lab
from lab.lookup import source_namespace, target_address
from lab.probe import hear, open_icmp, send_problem
from lab.sockets import wait_ready
from lab.testing.wishes import Budget
from lab.traffic.outage import NS_PER_S, Outage, Probe, outage

LINGER_S = 1.0
"""How long the last answers may take."""

REACH_DEADLINE_S = 10.0
"""How long the first answer may take: what was out of reach before anything went wrong measures nothing."""

_NUMBER = struct.Struct("!I")


@dataclass(frozen=True, slots=True)
class Measured:
    """outage: gaps and losses. round_trip_s: of 95 % of the answers, None without any."""

    outage: Outage
    round_trip_s: float | None

    def __str__(self) -> str:
        longest = self.outage.longest
        words = f"{self.outage.lost} of {self.outage.sent} probes lost"
        words += f", longest outage {longest.seconds:.3f} s" if longest else ""
        words += f", round trip {self.round_trip_s * 1e3:.2f} ms" if self.round_trip_s is not None else ""
        return words


def measured(probes: Sequence[Probe], pace_s: float) -> Measured:
    """What a run of probes came to. Pure."""
    trips = sorted(probe.received_ns - probe.sent_ns for probe in probes if probe.received_ns is not None)
    most = trips[math.ceil(0.95 * len(trips)) - 1] / NS_PER_S if trips else None
    return Measured(outage(probes, round(pace_s * NS_PER_S)), most)


def broken(budget: Budget, found: Measured) -> tuple[str, ...]:
    """In which points a budget was not kept, a line each. Pure."""
    return tuple(_broken(budget, found))


def _broken(budget: Budget, found: Measured) -> Iterator[str]:
    longest = found.outage.longest
    if budget.outage_s is not None and longest is not None and longest.seconds > budget.outage_s:
        yield (
            f"{budget}: no answer for {longest.seconds:.3f} s ({longest.lost} probes lost); "
            f"the budget is {budget.outage_s:g} s"
        )
    percent = 100.0 * found.outage.lost / found.outage.sent if found.outage.sent else 100.0
    if budget.loss_percent is not None and percent > budget.loss_percent:
        yield (
            f"{budget}: {found.outage.lost} of {found.outage.sent} probes lost, {percent:.3g} %; "
            f"the budget is {budget.loss_percent:g} %"
        )
    trip = found.round_trip_s
    left_open = budget.loss_percent is None and budget.outage_s is None
    if left_open and trip is not None and percent > 50:
        yield (
            f"{budget}: the round trip cannot be judged: {found.outage.lost} of {found.outage.sent} probes "
            f"lost; give the budget loss= to say how many may be"
        )
    if budget.round_trip_s is not None and (trip is None or trip > budget.round_trip_s):
        took = "no answer came" if trip is None else f"95 % of the answers took up to {trip * 1e3:.2f} ms"
        yield f"{budget}: {took}; the budget is {budget.round_trip_s * 1e3:g} ms"


class Meter:
    """Probes of one budget. Begins at once; `stop` gives what it came to."""

    def __init__(self, lab: Lab, budget: Budget) -> None:
        """Returns when the first answer is there.

        Raises UsageError for unknown hosts, EdgeError when no answer comes.
        """
        self.budget = budget
        self._stop = threading.Event()
        self._answered = threading.Event()
        self._sent_ns: list[int] = []
        self._received_ns: dict[int, int] = {}
        self._latest = 0
        self._trip_s = 0.0
        self._problem = ""
        self._identifier = struct.unpack("=H", os.urandom(2))[0]
        self._token = os.urandom(8)
        with lab.connect() as client:
            model = client.model
            self._target = target_address(model, budget.target, budget.family)
            namespace = source_namespace(model, budget.source)
            self._socket = open_icmp(client, namespace, self._target)
        self._began = time.monotonic()
        self._thread = threading.Thread(target=self._run, name=f"meter {budget}", daemon=True)
        self._thread.start()
        if not self._answered.wait(REACH_DEADLINE_S):
            self.stop(at_once=True)
            why = f" ({self._problem})" if self._problem else ""
            raise EdgeError(f"{budget}: not one answer in {REACH_DEADLINE_S:g} s, before the test{why}")

    def test_begins(self) -> None:
        """From now on counts the shortest time that the budget is measured."""
        self._began = time.monotonic()

    def stop(self, *, at_once: bool = False) -> Measured:
        """End it, not before the budget's shortest time and not in an outage that may still end in time.

        at_once: end it where it is.
        """
        if not at_once:
            self._see_it_through()
        self._stop.set()
        self._thread.join()
        probes = [Probe(sent, self._received_ns.get(number)) for number, sent in enumerate(self._sent_ns)]
        return measured(probes, self.budget.pace_s)

    def _see_it_through(self) -> None:
        end = self._began + self.budget.during_s
        longest = self.budget.outage_s or 0.0
        while True:
            self._stop.wait(max(self.budget.pace_s, min(0.05, end - time.monotonic())))
            if time.monotonic() < end:
                continue
            waiting_s = (time.time_ns() - self._sent_ns[self._latest]) / NS_PER_S
            # What is on its way is no outage yet; what lasts longer than allowed need not be waited for.
            on_its_way_s = self._trip_s + 5 * self.budget.pace_s
            if waiting_s <= on_its_way_s or waiting_s > longest + LINGER_S:
                return

    def _run(self) -> None:
        with self._socket:
            due = time.monotonic()
            while not self._stop.is_set():
                now = time.monotonic()
                if now >= due:
                    self._send()
                    due = max(due + self.budget.pace_s, now)
                self._listen(min(self.budget.pace_s, max(0.0, due - time.monotonic())))
            end = time.monotonic() + LINGER_S
            while len(self._received_ns) < len(self._sent_ns) and (left := end - time.monotonic()) > 0:
                self._listen(left)

    def _send(self) -> None:
        number = len(self._sent_ns)
        payload = self._token + _NUMBER.pack(number)
        request = icmp.echo_request(self.budget.family, self._identifier, number & 0xFFFF, payload)
        self._sent_ns.append(time.time_ns())
        try:
            self._socket.sendto(request, (str(self._target), 0))
        except OSError as error:
            # It counts as lost: an outage, where the node itself has no way any more.
            self._problem = send_problem(error, self._target)

    def _listen(self, seconds: float) -> None:
        if not wait_ready({self._socket.fileno(): self._socket}, seconds):
            return
        for heard in hear(self._socket, self._target):
            message = heard.message
            if isinstance(message, icmp.EchoReply) and message.payload.startswith(self._token):
                (number,) = _NUMBER.unpack_from(message.payload, len(self._token))
                self._received_ns.setdefault(number, heard.time_ns)
                self._latest = max(self._latest, number)
                self._trip_s = (heard.time_ns - self._sent_ns[number]) / NS_PER_S
                self._answered.set()
            elif isinstance(message, icmp.IcmpError):
                self._problem = message.words
