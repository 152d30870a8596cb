"""What a BIRD says about itself, as data. Pure.

Times are aware datetimes of the local zone, None where BIRD printed none or one we cannot read.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from edge.model import Address, Community, Network

RouteKind = Literal["unicast", "blackhole", "unreachable", "prohibited", "other"]
LogEventKind = Literal["daemon", "state", "established", "closed", "bfd", "error", "limit", "other"]


@dataclass(frozen=True, slots=True)
class Reply:
    """One line of the control protocol: its code (0-1999 good, 8000-9999 an error) and its text."""

    code: int
    text: str


@dataclass(frozen=True, slots=True)
class DaemonStatus:
    """`show status`. now: the daemon's clock, which all its other times are taken from."""

    version: str
    router_id: str
    now: datetime | None
    started: datetime | None
    reconfigured: datetime | None
    message: str


@dataclass(frozen=True, slots=True)
class ChannelState:
    """One table's side of a protocol: routes counted after the import filter, and before the export's.

    imported: accepted and held. filtered: refused by the import filter and kept to be shown; None when
    they are not kept. exported: announced to the neighbour. limit: most routes that may be imported.
    """

    name: str
    state: str
    table: str
    imported: int = 0
    exported: int = 0
    preferred: int = 0
    filtered: int | None = None
    limit: int | None = None
    limit_action: str = ""


@dataclass(frozen=True, slots=True)
class ProtocolState:
    """One protocol of `show protocols all`; what only BGP has is empty, 0 or None in the others.

    state: BIRD's up, start, stop or down. info: `Established`, `Active`, `Idle`... with BIRD's words
    about an error behind it. bgp_state: the state of RFC 4271 8.2.2, `Down` when shut. hold_s and
    keepalive_s are as negotiated, 0 while there is no session. bfd: the state of the BFD session to the
    neighbour, empty when there is none. uptime_s: seconds since the state was reached.
    """

    name: str
    proto: str
    table: str
    state: str
    since: datetime | None
    uptime_s: float | None
    info: str
    bgp_state: str = ""
    neighbor: Address | None = None
    interface: str = ""
    peer_asn: int = 0
    local_asn: int = 0
    neighbor_id: str = ""
    source: Address | None = None
    hold_s: int = 0
    keepalive_s: int = 0
    error_wait_s: float = 0.0
    last_error: str = ""
    bfd: str = ""
    channels: tuple[ChannelState, ...] = ()

    @property
    def established(self) -> bool:
        """Whether BGP is up (RFC 4271 8.2.2)."""
        return self.bgp_state == "Established"

    @property
    def imported(self) -> int:
        """Routes accepted from the neighbour, over all channels."""
        return sum(channel.imported for channel in self.channels)

    @property
    def exported(self) -> int:
        """Routes announced to the neighbour, over all channels."""
        return sum(channel.exported for channel in self.channels)

    @property
    def filtered(self) -> int:
        """Routes of the neighbour that the import filter refused, over all channels."""
        return sum(channel.filtered or 0 for channel in self.channels)

    @property
    def limit(self) -> int | None:
        """The import limit of the first channel that has one."""
        return next((channel.limit for channel in self.channels if channel.limit is not None), None)


@dataclass(frozen=True, slots=True)
class BfdSession:
    """One line of `show bfd sessions`; interval and timeout in seconds, as negotiated.

    interface: empty for a neighbour that is routers away.
    """

    address: Address
    interface: str
    state: str
    since: datetime | None
    interval_s: float
    timeout_s: float


@dataclass(frozen=True, slots=True)
class NextHop:
    """Where a route leads: through `address` on `device`, or straight to `device`."""

    address: Address | None
    device: str
    weight: int = 1


@dataclass(frozen=True, slots=True)
class RouteInfo:
    """One route of one protocol. best: the one chosen among all for its prefix.

    as_path: nearest AS first; members of a set are listed one after the other. communities: standard
    ones (RFC 1997). learned_from: the neighbour, where it is not the next hop. local_pref, med and
    origin are None or empty on routes that BGP did not bring.
    """

    network: Network
    protocol: str
    best: bool
    kind: RouteKind
    preference: int
    since: datetime | None
    next_hops: tuple[NextHop, ...] = ()
    as_path: tuple[int, ...] = ()
    communities: tuple[Community, ...] = ()
    local_pref: int | None = None
    med: int | None = None
    origin: str = ""
    learned_from: Address | None = None
    table: str = ""


@dataclass(frozen=True, slots=True)
class LogEvent:
    """What a line of the log tells.

    protocol: the protocol it is about, empty when it is about the daemon. what: `daemon` (started,
    reconfigured, shut down), `state` (a protocol went to `state`: start, up, stop, flush, down),
    `established`, `closed` (a BGP session ended), `bfd` (a BFD session to `neighbor` went to `state`),
    `error` (BIRD's words in `text`), `limit` (a prefix limit was passed), `other`.
    at: seconds since 1970 by the daemon's clock, None when the line has no time we can read.
    """

    what: LogEventKind
    protocol: str
    text: str
    level: str
    at: float | None
    state: str = ""
    neighbor: str = ""

    @property
    def changes_state(self) -> bool:
        """Whether a reader of states should look again."""
        return self.what != "other"
