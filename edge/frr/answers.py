"""What FRR's `show ... json` says, in the shape that BIRD's answers have (edge.bgp.state). Pure.

FRR 8 to 10. A key that a version does not have leaves the field empty; an answer of another shape is a
DaemonError, not a guess.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timezone
from ipaddress import ip_address, ip_network
from typing import Any, Final, ParamSpec, TypeVar

from edge.bgp.state import BfdSession, ChannelState, NextHop, ProtocolState, RouteInfo
from edge.errors import DaemonError
from edge.model import Address, Community

PROTOCOL: Final = "BGP"
PREFERENCE: Final = {False: 20, True: 200}
"""Administrative distance of FRR's BGP: outside, and iBGP."""

_UNSPECIFIED: Final = ("0.0.0.0", "::")  # noqa: S104 - the next hop of own routes, nothing listens there
_WELL_KNOWN: Final = {
    "no-export": (65535, 65281),
    "noExport": (65535, 65281),
    "no-advertise": (65535, 65282),
    "noAdvertise": (65535, 65282),
    "local-AS": (65535, 65283),
    "localAs": (65535, 65283),
    "blackhole": (65535, 666),
    "graceful-shutdown": (65535, 0),
    "gracefulShutdown": (65535, 0),
}
"""Communities that FRR shows by name (RFC 1997, 7999, 8326)."""

_P = ParamSpec("_P")
_R = TypeVar("_R")


def _or_daemon_error(parse: Callable[_P, _R]) -> Callable[_P, _R]:
    @functools.wraps(parse)
    def parsed(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        try:
            return parse(*args, **kwargs)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise DaemonError(f"cannot read FRR's answer: {type(error).__name__} {error}") from error

    return parsed


@_or_daemon_error
def parse_neighbors(answer: Any) -> tuple[ProtocolState, ...]:
    """`show bgp neighbors json`: a state for each neighbour, named by its address."""
    return tuple(_neighbor(name, found) for name, found in (answer or {}).items() if isinstance(found, dict))


def _neighbor(name: str, found: Mapping[str, Any]) -> ProtocolState:
    bgp_state = str(found["bgpState"])
    up, shut = bgp_state == "Established", bool(found.get("adminShutDown"))
    error = "" if up else _error(found)
    return ProtocolState(
        name=name,
        proto=PROTOCOL,
        table="",
        state="up" if up else "down" if shut else "start",
        since=_moment(found.get("bgpTimerUpEstablishedEpoch")) if up else None,
        uptime_s=int(found.get("bgpTimerUpMsec", 0)) / 1000 if up else None,
        info=bgp_state if not error else f"{bgp_state}: {error}",
        bgp_state="Down" if shut else bgp_state,
        neighbor=_address(name),
        peer_asn=int(found.get("remoteAs", 0)),
        local_asn=int(found.get("localAs", 0)),
        neighbor_id=str(found.get("remoteRouterId", "")) if up else "",
        source=_address(str(found.get("hostLocal", ""))),
        hold_s=int(found.get("bgpTimerHoldTimeMsecs", 0)) // 1000 if up else 0,
        keepalive_s=int(found.get("bgpTimerKeepAliveIntervalMsecs", 0)) // 1000 if up else 0,
        last_error=error,
        bfd=str(found.get("peerBfdInfo", {}).get("status", "")),
        channels=tuple(_channels(found)),
    )


def _error(found: Mapping[str, Any]) -> str:
    """Why the session ended last, in the words of edge.bgp.diagnosis as far as it has some.

    FRR keeps the reason for good: that BFD was down explains nothing any more once it is up.
    """
    reset = str(found.get("lastResetDueTo", ""))
    if reset in _NO_REASON or (reset == _BFD_DOWN and found.get("peerBfdInfo", {}).get("status") == "Up"):
        return ""
    reason = str(found.get("lastNotificationReason", "")).rpartition("/")[2].rstrip(".")
    if not reason or not reset.startswith("BGP Notification"):
        return _RESETS.get(reset, reset)
    said = _NOTIFICATIONS.get(reason.lower(), reason)
    return f"Received: {said}" if reset == "BGP Notification received" else said


_BFD_DOWN: Final = "BFD down received"
_NO_REASON: Final = ("", "None", "Waiting for peer OPEN", "Waiting for NHT", "No AFI/SAFI activated for peer")
"""What FRR has there before a session was up for the first time: none of them is an error."""

_RESETS: Final = {
    _BFD_DOWN: "BFD session down",
    "Interface down": "Link down",
    "Neighbor address lost": "Neighbor lost",
    "No path to specified Neighbor": "Socket: Network is unreachable",
    "Peer closed the session": "Socket: Connection closed",
}
"""FRR's reasons (bgpd/bgp_vty.c, peer_down_str) and BIRD's words for the same."""

_NOTIFICATIONS: Final = {
    "bad peer as": "Bad peer AS",
    "bad bgp identifier": "Bad BGP identifier",
    "hold timer expired": "Hold timer expired",
    "administratively shutdown": "Administrative shutdown",
    "administrative shutdown": "Administrative shutdown",
    "administratively reset": "Administrative reset",
    "administrative reset": "Administrative reset",
    "peer unconfigured": "Peer de-configured",
    "peer de-configured": "Peer de-configured",
    "maximum number of prefixes reached": "Maximum number of prefixes reached",
    "connection rejected": "Connection rejected",
    "other configuration change": "Other configuration change",
}
"""Reasons of notifications (RFC 4271 4.5, RFC 4486) as FRR writes them, in lower case, and as BIRD does."""


def _channels(found: Mapping[str, Any]) -> Iterator[ChannelState]:
    for family, said in found.get("addressFamilyInfo", {}).items():
        if family not in ("ipv4Unicast", "ipv6Unicast"):
            continue
        limit = said.get("prefixAllowedMax")
        yield ChannelState(
            name=family[:4],
            state="UP" if found["bgpState"] == "Established" else "DOWN",
            table=family[:4],
            imported=int(said.get("acceptedPrefixCounter", 0)),
            exported=int(said.get("sentPrefixCounter", 0)),
            limit=int(limit) if limit is not None else None,
        )


@_or_daemon_error
def parse_prefix(answer: Any) -> tuple[RouteInfo, ...]:
    """`show bgp ipv4|ipv6 unicast PREFIX json`: the paths of one prefix, the best first; none is empty."""
    if not answer:
        return ()
    found = [_path(answer["prefix"], path) for path in answer["paths"]]
    return tuple(sorted(found, key=lambda route: not route.best))


def _path(prefix: str, path: Mapping[str, Any]) -> RouteInfo:
    peer = path.get("peer", {})
    from_peer = _address(str(peer.get("peerId", "")))
    own = from_peer is None or str(from_peer) in _UNSPECIFIED
    internal = peer.get("type") == "internal"
    return RouteInfo(
        network=ip_network(prefix),
        protocol=str(from_peer) if not own else "",
        best=bool(path.get("bestpath", {}).get("overall")),
        kind="unicast",
        preference=PREFERENCE[internal],
        since=_moment(path.get("lastUpdate", {}).get("epoch")),
        next_hops=tuple(_next_hops(path)) if not own else (),
        as_path=tuple(_as_path(path)),
        communities=tuple(_communities(path)),
        local_pref=_number(path.get("locPrf")),
        med=_number(path.get("metric", path.get("med"))),
        origin=str(path.get("origin", "")),
        learned_from=from_peer if not own else None,
        table=f"ipv{ip_network(prefix).version}",
    )


def _next_hops(path: Mapping[str, Any]) -> Iterator[NextHop]:
    """The next hop that is used; an IPv6 neighbour gives a global and a link-local one."""
    for hop in path.get("nexthops", ()):
        if hop.get("used"):
            yield NextHop(_address(str(hop["ip"])), str(hop.get("interface", "")))


def _as_path(path: Mapping[str, Any]) -> Iterator[int]:
    for segment in path.get("aspath", {}).get("segments", ()):
        yield from (int(number) for number in segment["list"])


def _communities(path: Mapping[str, Any]) -> Iterator[Community]:
    for word in path.get("community", {}).get("list", ()):
        if word in _WELL_KNOWN:
            yield _WELL_KNOWN[word]
            continue
        high, _, low = str(word).partition(":")
        yield int(high), int(low)


@_or_daemon_error
def parse_bfd(answer: Any) -> tuple[BfdSession, ...]:
    """`show bfd peers json`, with the times in force: the slower of both sides (RFC 5880 6.8.2, 6.8.4)."""
    return tuple(_bfd(found) for found in answer or () if not found.get("multihop"))


def _bfd(found: Mapping[str, Any]) -> BfdSession:
    send = max(int(found["transmit-interval"]), int(found.get("remote-receive-interval", 0)))
    receive = max(int(found["receive-interval"]), int(found.get("remote-transmit-interval", 0)))
    return BfdSession(
        address=ip_address(found["peer"]),
        interface=str(found.get("interface", "")),
        state=str(found["status"]).capitalize(),
        since=None,
        interval_s=send / 1000,
        timeout_s=receive * int(found.get("remote-detect-multiplier", found["detect-multiplier"])) / 1000,
    )


def _address(text: str) -> Address | None:
    try:
        return ip_address(text)
    except ValueError:
        return None


def _number(value: Any) -> int | None:
    return int(value) if value is not None else None


def _moment(epoch: Any) -> datetime | None:
    return datetime.fromtimestamp(int(epoch), timezone.utc).astimezone() if epoch else None
