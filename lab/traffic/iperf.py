"""iperf3: its command lines, and what its JSON says. Pure.

Both ends report. What was sent, and sent again, the sender knows; what arrived, and when, the receiver.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from edge.errors import EdgeError, UsageError

PROGRAM, PACKAGE = "iperf3", "iperf3"
CONNECT_MS = 5000
LEAST_STRETCH_S = 0.5
UDP_OCTETS = 1200
"""iperf3 takes what the sender's own link takes, of which Azure's gateways pass no more than 1,400."""

Protocol = Literal["tcp", "udp"]


@dataclass(frozen=True, slots=True)
class LoadWanted:
    """A load as a user asks for it.

    rate_bps: of all connections together; None is as much as goes, which only TCP knows. reverse: TO sends.
    size: octets of payload in a packet of UDP.
    """

    source: str
    target: str
    seconds: float = 10.0
    protocol: Protocol = "tcp"
    rate_bps: int | None = None
    reverse: bool = False
    parallel: int = 1
    family: Literal[4, 6] = 4
    size: int = UDP_OCTETS


@dataclass(frozen=True, slots=True)
class Second:
    """A stretch of about a second. lost: packets of UDP; retransmits: of TCP; None where it has none."""

    begin_s: float
    received_bps: float
    lost: int | None
    retransmits: int | None


@dataclass(frozen=True, slots=True)
class LoadResult:
    """A load as it was. sent_bps and received_bps: of payload, over all of it.

    retransmits: of TCP. packets, lost, jitter_ms: of UDP. None where the protocol has none.
    """

    lab: str
    wanted: LoadWanted
    seconds: float
    sent_bps: float
    received_bps: float
    retransmits: int | None
    packets: int | None
    lost: int | None
    jitter_ms: float | None
    each: tuple[Second, ...]

    @property
    def loss_percent(self) -> float | None:
        """Of the packets of UDP that were sent; None for TCP."""
        if self.packets is None or self.lost is None:
            return None
        return 100.0 * self.lost / self.packets if self.packets else 0.0

    def to_json(self) -> dict[str, Any]:
        """As plain data, for `--format json`."""
        percent = self.loss_percent
        return {
            "version": 1,
            "lab": self.lab,
            "source": self.wanted.source,
            "target": self.wanted.target,
            "protocol": self.wanted.protocol,
            "reverse": self.wanted.reverse,
            "parallel": self.wanted.parallel,
            "rate_bps": self.wanted.rate_bps,
            "size": self.wanted.size if self.wanted.protocol == "udp" else None,
            "seconds": round(self.seconds, 3),
            "sent_bps": round(self.sent_bps),
            "received_bps": round(self.received_bps),
            "retransmits": self.retransmits,
            "packets": self.packets,
            "lost": self.lost,
            "loss_percent": None if percent is None else round(percent, 3),
            "jitter_ms": self.jitter_ms,
            "each": [
                {
                    "begin_s": round(item.begin_s, 3),
                    "received_bps": round(item.received_bps),
                    "lost": item.lost,
                    "retransmits": item.retransmits,
                }
                for item in self.each
            ],
        }


def server_words(port: int, wanted: LoadWanted) -> tuple[str, ...]:
    """The command line of the end that waits: for one load, then it ends."""
    return (PROGRAM, "--server", "--one-off", "--json", "--port", str(port), f"-{wanted.family}")


def client_words(address: str, port: int, wanted: LoadWanted) -> tuple[str, ...]:
    """The command line of the end that begins. Raises UsageError for a time that iperf3 cannot be told."""
    if wanted.seconds < 1 or wanted.seconds != int(wanted.seconds):
        below = int(wanted.seconds)
        either = f"{below}s or {below + 1}s" if below else "1s"
        raise UsageError(f"a load lasts whole seconds, for {PROGRAM} knows no others; give {either}")
    words = [PROGRAM, "--client", address, "--port", str(port), f"-{wanted.family}", "--json"]
    words += ["--connect-timeout", str(CONNECT_MS)]
    words += ["--time", f"{int(wanted.seconds)}", "--parallel", str(wanted.parallel)]
    if wanted.protocol == "udp":
        words += ["--udp", "--length", str(wanted.size)]
    if wanted.reverse:
        words.append("--reverse")
    if wanted.rate_bps is not None:
        # iperf3's rate is that of each of its streams.
        words += ["--bitrate", str(wanted.rate_bps // wanted.parallel)]
    return tuple(words)


def result(lab: str, wanted: LoadWanted, client: Mapping[str, Any], server: Mapping[str, Any]) -> LoadResult:
    """From what both ends said. Raises EdgeError when one of them reports an error, or nothing of use."""
    for end, said in (("the client", client), ("the server", server)):
        if said.get("error"):
            raise EdgeError(f"{PROGRAM}: {end} says: {said['error']}")
    try:
        return _result(lab, wanted, client, server)
    except (KeyError, TypeError, IndexError) as error:
        raise EdgeError(f"{PROGRAM} says something else than it used to: {error!r}") from error


def _result(lab: str, wanted: LoadWanted, client: Mapping[str, Any], server: Mapping[str, Any]) -> LoadResult:
    sender, receiver = (server, client) if wanted.reverse else (client, server)
    sent = _sum(sender, "sum_sent")
    received = _sum(receiver, "sum_received")
    udp = wanted.protocol == "udp"
    packets = lost = jitter = None
    if udp:
        packets = int(sent["packets"])
        # The receiver counts as lost only what a later packet proves; the tail of an overload is lost, too.
        lost = max(0, packets - (int(received["packets"]) - int(received["lost_packets"])))
        jitter = round(float(received["jitter_ms"]), 3)
    return LoadResult(
        lab=lab,
        wanted=wanted,
        seconds=float(received["seconds"]),
        sent_bps=float(sent["bits_per_second"]),
        received_bps=float(received["bits_per_second"]),
        retransmits=None if udp else int(sent["retransmits"]),
        packets=packets,
        lost=lost,
        jitter_ms=jitter,
        each=_seconds(sender, receiver, udp),
    )


def _sum(said: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """Before 3.10 there is one sum of UDP for both."""
    end: Mapping[str, Any] = said["end"]
    found: Mapping[str, Any] = end[name] if name in end else end["sum"]
    return found


def _seconds(sender: Mapping[str, Any], receiver: Mapping[str, Any], udp: bool) -> tuple[Second, ...]:
    sent = {round(item["sum"]["start"]): item["sum"] for item in sender["intervals"]}
    return tuple(
        Second(
            begin_s=float(item["sum"]["start"]),
            received_bps=float(item["sum"]["bits_per_second"]),
            lost=int(item["sum"]["lost_packets"]) if udp else None,
            retransmits=None if udp else int(sent.get(round(item["sum"]["start"]), {}).get("retransmits", 0)),
        )
        for item in receiver["intervals"]
        # Behind the last second the receiver may have some milliseconds, whose rate means nothing.
        if float(item["sum"]["seconds"]) >= LEAST_STRETCH_S
    )
