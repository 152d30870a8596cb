"""BIRD's control protocol (text with reply codes) and its log as state. Pure; routes are in `routes`.

Formats differ a little between 2.0.8 and 2.17: unknown lines are passed over, a known line that cannot
be read raises DaemonError, and nothing else is ever raised.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from ipaddress import ip_address
from typing import Final, ParamSpec, TypeVar

from edge.bgp.state import (
    BfdSession,
    ChannelState,
    DaemonStatus,
    LogEvent,
    LogEventKind,
    ProtocolState,
    Reply,
)
from edge.errors import DaemonError

CODE_STATUS: Final = 13
CODE_ROUTER: Final = 1011
CODE_VERSION: Final = 1000
CODE_PROTOCOL: Final = 1002
CODE_PROTOCOL_DETAIL: Final = 1006
CODE_BFD: Final = 1020
CODE_NOT_FOUND: Final = 8001
CODE_NO_PROTOCOL: Final = 8003
FIRST_ERROR_CODE: Final = 8000

_CODED = re.compile(r"([0-9]{4})([- ])(.*)", re.DOTALL | re.ASCII)
TIME: Final = r"[0-9]{4}-[0-9]{2}-[0-9]{2}(?: [0-9:.]+)?|[0-9]+:[0-9:.]+"
_PROTOCOL = re.compile(
    rf"(?P<name>\S+)\s+(?P<proto>\S+)\s+(?P<table>\S+)\s+(?P<state>\S+)\s+(?P<since>{TIME})\s*(?P<info>.*)"
)
_DETAIL = re.compile(r"\s+([A-Za-z][^:]*):\s+(.*)")
_BFD = re.compile(
    rf"(?P<address>\S+)\s+(?P<interface>\S+)\s+(?P<state>[A-Z]\w+)\s+(?P<since>{TIME})"
    r"\s+(?P<interval>[0-9.]+)\s+(?P<timeout>[0-9.]+)\b"
)
_LOG_LINE = re.compile(r"(?P<at>\S+ \S+) <(?P<level>[A-Z]+)> (?P<text>.*)")
_LOG_ABOUT = re.compile(r"(?P<protocol>[A-Za-z_][A-Za-z0-9_]*): (?P<text>.*)")
_LOG_STATE = re.compile(r"State changed to (?P<state>\w+)")
_LOG_BFD = re.compile(r"Session to (?P<neighbor>[^\s%]+)\S* changed state from \w+ to (?P<state>\w+)")
_LOG_LIMIT = re.compile(r"(?:Protocol|Channel) (?P<protocol>[A-Za-z0-9_]+)\S* hits route .*limit")
_LOG_DAEMON = re.compile(r"(?:Started|Reconfigur|Shutdown|Shutting down)")
_ERROR_LEVELS = ("ERR", "AUTH", "FATAL", "BUG", "RMT")

_P = ParamSpec("_P")
_R = TypeVar("_R")


def or_daemon_error(read: Callable[_P, _R]) -> Callable[_P, _R]:
    """Turn what a strange line makes of int() and ip_address() into DaemonError."""

    @functools.wraps(read)
    def wrapped(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        try:
            return read(*args, **kwargs)
        except (ValueError, OverflowError) as error:
            raise DaemonError(f"cannot read BIRD's answer: {error}") from error

    return wrapped


def parse_line(line: str, previous_code: int | None) -> tuple[Reply, bool] | None:
    """One line without its end -> the reply and whether it ends the answer; None for an aside (`+`).

    A line that begins with a space goes on with the code before it. Raises DaemonError for a line that
    is neither.
    """
    if line.startswith("+"):
        return None
    if line.startswith(" ") and previous_code is not None:
        return Reply(previous_code, line[1:]), False
    match = _CODED.fullmatch(line)
    if match is None:
        raise DaemonError(f"not a line of BIRD's control protocol: {line[:80]!r}")
    return Reply(int(match[1]), match[3]), match[2] == " "


def parse_replies(text: str) -> tuple[Reply, ...]:
    """All replies in `text`, which may hold several answers. Raises DaemonError."""
    replies: list[Reply] = []
    for line in text.split("\n"):
        if not line:
            continue
        parsed = parse_line(line, replies[-1].code if replies else None)
        if parsed is not None:
            replies.append(parsed[0])
    return tuple(replies)


def parse_time(text: str, now: datetime | None = None) -> datetime | None:
    """BIRD's time: `2026-11-22 16:30:41.014`, a date alone, or a time of today (needs `now`)."""
    text = text.strip()
    if re.fullmatch(r"[0-9]+:[0-9:.]+", text):
        if now is None:
            return None
        text = f"{now.date().isoformat()} {text}"
    try:
        return datetime.fromisoformat(text).astimezone()
    except (ValueError, OverflowError):
        return None


@or_daemon_error
def parse_status(replies: Iterable[Reply]) -> DaemonStatus:
    """`show status`. Raises DaemonError when the version or the final word is missing."""
    version = message = ""
    facts: dict[str, str] = {}
    for reply in replies:
        if reply.code == CODE_VERSION:
            version = reply.text.removeprefix("BIRD").strip()
        elif reply.code == CODE_STATUS:
            message = reply.text
        elif reply.code == CODE_ROUTER:
            key, _, value = reply.text.replace(" is ", "\0", 1).replace(" on ", "\0", 1).partition("\0")
            facts[key] = value
    if not version or not message:
        raise DaemonError("cannot read BIRD's answer: `show status` without version or state")
    now = parse_time(facts.get("Current server time", ""))
    return DaemonStatus(
        version=version,
        router_id=facts.get("Router ID", ""),
        now=now,
        started=parse_time(facts.get("Last reboot", ""), now),
        reconfigured=parse_time(facts.get("Last reconfiguration", ""), now),
        message=message,
    )


@or_daemon_error
def parse_protocols(replies: Iterable[Reply], now: datetime | None = None) -> tuple[ProtocolState, ...]:
    """`show protocols all`, in BIRD's order; `now` is the daemon's clock, for uptimes."""
    heads: list[tuple[str, list[str]]] = []
    for reply in replies:
        if reply.code == CODE_PROTOCOL:
            heads.append((reply.text, []))
        elif reply.code == CODE_PROTOCOL_DETAIL and heads:
            heads[-1][1].append(reply.text)
    return tuple(_protocol(head, details, now) for head, details in heads)


def _protocol(head: str, details: Sequence[str], now: datetime | None) -> ProtocolState:
    match = _PROTOCOL.fullmatch(head.rstrip())
    if match is None:
        raise DaemonError(f"cannot read BIRD's answer: {head[:80]!r} is not a protocol")
    since = parse_time(match["since"], now)
    state = ProtocolState(
        name=match["name"],
        proto=match["proto"],
        table=match["table"],
        state=match["state"],
        since=since,
        uptime_s=max((now - since).total_seconds(), 0.0) if now is not None and since is not None else None,
        info=" ".join(match["info"].split()),
    )
    channels: list[ChannelState] = []
    for line in details:
        if line.startswith("  Channel "):
            name = line.removeprefix("  Channel ").strip()
            if not name:
                raise DaemonError("cannot read BIRD's answer: a channel without a name")
            channels.append(ChannelState(name=name.split()[0], state="", table=""))
            continue
        detail = _DETAIL.fullmatch(line.rstrip())
        if detail is None:
            continue
        if channels:
            channels[-1] = _channel_detail(channels[-1], detail[1], detail[2])
        else:
            state = _bgp_detail(state, detail[1], detail[2])
    if state.bgp_state and state.info.startswith(state.bgp_state):
        # BIRD puts the last error behind it, which is in `last_error`.
        state = replace(state, info=state.bgp_state)
    return replace(state, channels=tuple(channels))


def _bgp_detail(state: ProtocolState, key: str, value: str) -> ProtocolState:
    if key == "BGP state":
        return replace(state, bgp_state=value)
    if key == "Neighbor address":
        address, _, interface = value.partition("%")
        return replace(state, neighbor=ip_address(address), interface=interface)
    if key == "Neighbor AS":
        return replace(state, peer_asn=int(value))
    if key == "Local AS":
        return replace(state, local_asn=int(value))
    if key == "Neighbor ID":
        return replace(state, neighbor_id=value)
    if key == "Source address":
        return replace(state, source=ip_address(value))
    if key == "Hold timer":
        return replace(state, hold_s=int(value.rpartition("/")[2]))
    if key == "Keepalive timer":
        return replace(state, keepalive_s=int(value.rpartition("/")[2]))
    if key == "Error wait":
        return replace(state, error_wait_s=float(value.partition("/")[0]))
    if key == "Last error":
        return replace(state, last_error=value)
    return state


def _channel_detail(channel: ChannelState, key: str, value: str) -> ChannelState:
    if key == "State":
        return replace(channel, state=value)
    if key == "Table":
        return replace(channel, table=value)
    if key == "Import limit":
        return replace(channel, limit=int(value.split()[0]))
    if key == "Action" and channel.limit is not None and not channel.limit_action:
        return replace(channel, limit_action=value)
    if key == "Routes":
        counts = {words[1]: int(words[0]) for part in value.split(",") if len(words := part.split()) == 2}
        return replace(
            channel,
            imported=counts.get("imported", 0),
            exported=counts.get("exported", 0),
            preferred=counts.get("preferred", 0),
            filtered=counts.get("filtered"),
        )
    return channel


@or_daemon_error
def parse_bfd_sessions(replies: Iterable[Reply]) -> tuple[BfdSession, ...]:
    """`show bfd sessions`; headings and instances that are down are passed over."""
    sessions = []
    for reply in replies:
        match = _BFD.match(reply.text) if reply.code == CODE_BFD else None
        if match is not None:
            sessions.append(
                BfdSession(
                    address=ip_address(match["address"]),
                    # A multihop session is on no interface, which BIRD writes as dashes.
                    interface=match["interface"].strip("-"),
                    state=match["state"],
                    since=parse_time(match["since"]),
                    interval_s=float(match["interval"]),
                    timeout_s=float(match["timeout"]),
                )
            )
    return tuple(sessions)


def parse_log_line(line: str) -> LogEvent | None:
    """The event in one line; None when the line is not of BIRD's log format."""
    match = _LOG_LINE.fullmatch(line.rstrip("\n"))
    if match is None:
        return None
    moment, level, text = parse_time(match["at"]), match["level"], match["text"]
    at = moment.timestamp() if moment is not None else None
    limit = _LOG_LIMIT.match(text)
    if limit is not None:
        return LogEvent("limit", limit["protocol"], text, level, at)
    about = _LOG_ABOUT.fullmatch(text)
    if about is None:
        kind: LogEventKind = "daemon" if _LOG_DAEMON.match(text) else _kind_of_level(level)
        return LogEvent(kind, "", text, level, at)
    protocol, text = about["protocol"], about["text"]
    state = _LOG_STATE.fullmatch(text)
    if state is not None:
        return LogEvent("state", protocol, text, level, at, state=state["state"])
    bfd = _LOG_BFD.match(text)
    if bfd is not None:
        return LogEvent("bfd", protocol, text, level, at, state=bfd["state"], neighbor=bfd["neighbor"])
    if text == "BGP session established":
        return LogEvent("established", protocol, text, level, at)
    if text == "BGP session closed":
        return LogEvent("closed", protocol, text, level, at)
    if text.startswith(("Error: ", "Received: ", "Socket error: ", "Connection lost")):
        return LogEvent("error", protocol, text, level, at)
    return LogEvent(_kind_of_level(level), protocol, text, level, at)


def _kind_of_level(level: str) -> LogEventKind:
    return "error" if level in _ERROR_LEVELS else "other"
