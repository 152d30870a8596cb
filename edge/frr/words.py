"""FRR's words about a configuration, and lines of its log. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from typing import Final

from edge.bgp.state import LogEvent
from edge.own.kinds import Complaint

_LINE = re.compile(r"line (?P<line>[0-9]+): (?P<rest>.*)")
_REFUSED = re.compile(r"Failure to communicate\[[0-9]+\] to (?P<daemon>\S+), line: ?(?P<command>.*)")
_UNREAD = re.compile(r"%? ?(?P<what>[A-Z][a-z ]+?)(?:\[[0-9]+\])?: ?(?P<command>.*)")
_NO_NEWS = re.compile(r"Configuration file\[.*\] processing failure|Waiting for children|\[[0-9]+\|")

_ROUTER = re.compile(r"\s*router (?P<what>\S+)")
_MISSING_DAEMONS: Final = frozenset(
    {"ospf", "ospf6", "isis", "rip", "ripng", "eigrp", "babel", "openfabric", "pim", "pim6"}
)

_LOG = re.compile(
    r"(?P<at>[0-9]{4}/[0-9]{2}/[0-9]{2} [0-9:.]+) (?P<daemon>[A-Z0-9]+): (?:\[[A-Z0-9-]+\])*"
    r"(?:\[EC [0-9]+\])? ?(?P<text>.*)"
)
_ADJACENCY = re.compile(
    r"%ADJCHANGE: neighbor (?P<neighbor>[0-9a-fA-F.:]+)(?:\([^)]*\))?.* (?P<state>Up|Down)(?: (?P<why>.*))?"
)


def complaints(said: str) -> tuple[Complaint, ...]:
    """What vtysh said about a file (`-C -f`, `-b`), a complaint for each line of the file.

    A daemon's own reason stands before the line that names the command that it refused.
    """
    found = []
    reasons: list[str] = []
    for raw in said.splitlines():
        text = raw.strip()
        place = _LINE.match(text)
        if place is None:
            if text and not _NO_NEWS.match(text):
                reasons.append(text.removeprefix("%").strip().rstrip("."))
            continue
        found.append(Complaint(int(place["line"]), _said(place["rest"], reasons)))
        reasons = []
    found += [Complaint(0, reason) for reason in reasons]
    return tuple(found)


def _said(rest: str, reasons: list[str]) -> str:
    refused = _REFUSED.match(rest)
    if refused is not None:
        reason = "; ".join(reasons) or "refused without a reason"
        return f"{refused['daemon']}: {reason}: {refused['command'].strip()}"
    unread = _UNREAD.match(rest)
    return f"{unread['what']}: {unread['command'].strip()}" if unread is not None else rest


def needs_other_daemons(config: str) -> Iterator[Complaint]:
    """Lines for daemons that no router of ours runs: vtysh would pass over them in silence."""
    for number, line in enumerate(config.splitlines(), 1):
        match = _ROUTER.match(line)
        if match is not None and match["what"] in _MISSING_DAEMONS:
            words = f"router {match['what']}: only zebra, staticd, bfdd and bgpd run here; take it out"
            yield Complaint(number, words)


def parse_log_line(line: str) -> LogEvent | None:
    """The coming or going of a session in a line of bgpd's log; None for any other line."""
    match = _LOG.match(line)
    found = _ADJACENCY.match(match["text"]) if match is not None else None
    if match is None or found is None:
        return None
    up = found["state"] == "Up"
    text = "BGP session established" if up else f"BGP session closed: {found['why'] or 'no reason given'}"
    neighbor = found["neighbor"]
    return LogEvent("established" if up else "closed", "", text, "info", _at(match["at"]), neighbor=neighbor)


def _at(text: str) -> float | None:
    for form in ("%Y/%m/%d %H:%M:%S.%f", "%Y/%m/%d %H:%M:%S"):
        try:
            return datetime.strptime(text, form).astimezone().timestamp()
        except ValueError:
            continue
    return None
