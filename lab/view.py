"""A running lab at one moment, as `inspect` shows it. Pure; `lab.inspect` fills it.

`to_json` is a contract: it carries "version" and only grows.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class NodeView:
    """A box. state: "up", or what is wrong with it. restarts: BIRDs started again after they died."""

    name: str
    kind: str
    tier: str
    namespaces: tuple[str, ...]
    state: str
    restarts: int


@dataclass(frozen=True, slots=True)
class ImpairmentView:
    """How a link harms what travels over it towards a node, and what it has harmed.

    seed is text, since readers of JSON lose digits of large numbers. Counters are of frames; None where
    the kernel counts (netem). waiting: delayed at this moment. dropped: no room, or refused by the device.
    """

    towards: str
    by: str
    seed: str
    delay_ms: float
    jitter_ms: float
    loss_percent: float
    duplicate_percent: float
    reorder_percent: float
    rate_bps: int | None
    offered: int | None = None
    lost: int | None = None
    dropped: int | None = None
    duplicated: int | None = None
    reordered: int | None = None
    waiting: int | None = None


@dataclass(frozen=True, slots=True)
class LinkView:
    """A wire. up: both ends are administratively up; None when nobody said.

    tags: the peerings it carries, as ("3/100", "ams/private"). impairments: one a direction that is harmed.
    """

    name: str
    a: str
    b: str
    circuit: str
    connection: str
    up: bool | None
    carrier: bool | None
    tags: tuple[tuple[str, str], ...]
    impairments: tuple[ImpairmentView, ...] = ()


@dataclass(frozen=True, slots=True)
class SessionView:
    """One end of a BGP session.

    circuit, peering and connection are empty for sessions inside a site or inside Microsoft; side is
    then empty, too. uptime_s: seconds since it was established, None when it is not. imported and
    exported: prefixes. bfd: state of the BFD session, empty without. why: reason when it is not up. shut: one
    of its ends is, by the service's word.
    """

    circuit: str
    peering: str
    connection: str
    side: str
    node: str
    namespace: str
    name: str
    group: str
    interface: str
    neighbor: str
    family: int
    state: str
    uptime_s: float | None
    imported: int
    exported: int
    bfd: str
    why: str
    shut: bool = False

    @property
    def established(self) -> bool:
        """Whether this end says that the session is up."""
        return self.state == "Established"

    @property
    def label(self) -> str:
        """Which peering on which connection, or which kind of internal session."""
        if self.circuit:
            return f"{self.circuit}/{self.peering} {self.connection}"
        return self.group


@dataclass(frozen=True, slots=True)
class LabView:
    """All of it. realisation: how tags are made, and why so. uptime_s: seconds since it was deployed.

    tag_counters, packet_counters, queues, markings: as the supervisor reads them; see lab.access. Queues also
    bear their link, its end that they send towards and the circuit, all empty for unsteered frames.
    marking: what marks packets: bpf, nft, ring, or empty. lacks: what the lab goes without on this machine.
    sla: by "circuit/peering", whether the SLA applies: all sessions of both connections are up (facts 3.1).
    core, core_reason: what tells customers apart in a provider's core, mpls or vrf, and why; empty without.
    engine: of `ring`: pid, restarts, and of each port the frames that its socket took, sent, refused, missed.
    """

    name: str
    realisation: str
    reason: str
    uptime_s: float
    nodes: tuple[NodeView, ...]
    links: tuple[LinkView, ...]
    sessions: tuple[SessionView, ...]
    tag_counters: dict[str, Any]
    packet_counters: dict[str, Any]
    queues: tuple[dict[str, Any], ...] = ()
    markings: tuple[dict[str, Any], ...] = ()
    marking: str = ""
    lacks: tuple[str, ...] = ()
    sla: dict[str, bool] = field(default_factory=dict)
    engine: dict[str, Any] = field(default_factory=dict)
    core: str = ""
    core_reason: str = ""

    def to_json(self) -> dict[str, Any]:
        """Plain data for `--format json`."""
        return {"version": 1, **asdict(self)}
