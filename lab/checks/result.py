"""What a check says. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from lab.check_model import (
    BudgetCheck,
    CommunitiesCheck,
    FlowCheck,
    NeverCheck,
    OutageCheck,
    PairCheck,
    QueueCheck,
    RoutesCheck,
    ThroughputCheck,
)
from lab.model import Check, FrameCheck, HttpsCheck, NameCheck, PathCheck, PingCheck, SessionsCheck


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one look showed. words: what was seen, for people. evidence: the same as plain JSON data.

    explain: what takes longer to find out, asked once, when the check has failed for good; its words
    replace `words`. final: looking again cannot help.
    """

    ok: bool
    words: str
    evidence: dict[str, Any] = field(default_factory=dict)
    explain: Callable[[], str] | None = None
    final: bool = False


@dataclass(frozen=True, slots=True)
class CheckResult:
    """The outcome of a check. duration_s: seconds from its start until it was decided."""

    check: Check
    ok: bool
    words: str
    evidence: dict[str, Any]
    duration_s: float


class Observer(Protocol):
    """Hears of each check, in the order of the list, whatever order they run in."""

    def started(self, number: int, check: Check) -> None:
        """Check `number` (from 0) is the next that will be reported."""
        ...

    def finished(self, number: int, result: CheckResult) -> None:
        """Check `number` is decided."""
        ...


def title(check: Check) -> str:
    """One line that names a check as the topology file does."""
    if isinstance(check, PingCheck):
        return f"ping {check.source} -> {check.target}{_family(check.family)}"
    if isinstance(check, PathCheck):
        text = f"path {check.source} -> {check.target}{_family(check.family)} via {check.via}"
        text += f"/{check.peering}" if check.peering else ""
        text += f" through {check.hop}" if check.hop else ""
        marks = " ".join(f"{name}={dscp}" for name, dscp in check.dscp)
        return f"{text} dscp {marks}" if marks else text
    if isinstance(check, SessionsCheck):
        which = "/".join(word for word in (check.circuit, check.peering) if word) or "all"
        text = f"sessions {which} {check.connection}".rstrip()
        text += f" {check.state}"
        return f"{text} for {check.uptime_s:g} s" if check.uptime_s else text
    if isinstance(check, FrameCheck):
        tags = "/".join(map(str, check.tags)) or "untagged"
        return f"frame {check.link} {tags} {check.protocol}{_types(check.tpids)}{_mark(check.dscp)}"
    if isinstance(check, PairCheck):
        return _pair_title(check)
    if isinstance(check, RoutesCheck):
        return _routes_title(check)
    if isinstance(check, CommunitiesCheck):
        return f"communities {check.node} {check.prefix}"
    if isinstance(check, NameCheck):
        text = f"name {check.source} -> {check.name}{_family(check.family)}"
        text += "" if check.present else " absent"
        return f"{text} via {check.via}" if check.via else text
    if isinstance(check, HttpsCheck):
        text = f"https {check.source} -> {check.host}{_family(check.family)}"
        text += f" via {check.via}" if check.via else ""
        text += f"/{check.peering}" if check.peering else ""
        return f"{text} not revoked" if check.revocation else text
    text = f"route {check.node} {check.prefix}"
    if not check.present:
        return f"{text} absent"
    if check.as_path is not None:
        text += f" path {' '.join(map(str, check.as_path)) or 'empty'}"
    if check.communities:
        text += f" communities {' '.join(f'{high}:{low}' for high, low in check.communities)}"
    return text


def _pair_title(check: PairCheck) -> str:
    if isinstance(check, OutageCheck):
        most = f"at most {check.most_s * 1000:g} ms" if check.most_s else "none"
        return f"outage {check.source} -> {check.target} {most} at {check.fault}"
    pair = f"{check.source} -> {check.target}{_family(check.family)}"
    if isinstance(check, BudgetCheck):
        limits = (
            ("latency", check.latency_ms, "ms"),
            ("jitter", check.jitter_ms, "ms"),
            ("loss", check.loss_percent, "%"),
        )
        text = " ".join(f"{name} {limit:g} {unit}" for name, limit, unit in limits if limit is not None)
        return f"budget {_class(check.class_name)}{pair} {text}"
    if isinstance(check, ThroughputCheck):
        least = _amount(check.least_percent, check.least_bps, "at least")
        most = _amount(check.most_percent, check.most_bps, "at most")
        way = " answers" if check.way == "in" else ""
        return f"throughput {pair}{way} of {check.circuit}{least}{most}"
    pair = f"{_class(check.class_name)}{pair}"
    if isinstance(check, NeverCheck):
        return f"never {pair} on {check.link}"
    pair += " answers" if check.way == "in" else ""
    if isinstance(check, QueueCheck):
        return f"queue {check.queue} {pair} on {check.link}"
    assert isinstance(check, FlowCheck)
    tags = "" if check.tags is None else f" {'/'.join(map(str, check.tags)) or 'untagged'}"
    return f"flow {pair} on {check.link}{tags}{_types(check.tpids)}{_mark(check.dscp)}"


def _routes_title(check: RoutesCheck) -> str:
    text = f"routes {check.node}"
    text += f" over {check.circuit}" if check.circuit else ""
    text += f"/{check.peering}" if check.peering else ""
    text += f" IPv{check.family}" if check.family else ""
    sets = (("exactly", check.exact), ("with", check.contains), ("without", check.lacks))
    for name, wanted in sets:
        if wanted is not None and (wanted or name == "exactly"):
            text += f" {name} {wanted[0].prefix if len(wanted) == 1 else len(wanted)}"
    return text


def _class(name: str) -> str:
    return "" if name == "default" else f"{name} "


def _amount(percent: float | None, bps: int | None, words: str) -> str:
    if percent is not None:
        return f" {words} {percent:g} %"
    return f" {words} {bps / 1e6:g} Mbit/s" if bps is not None else ""


def _types(tpids: tuple[int, ...] | None) -> str:
    return "" if tpids is None else f" {'/'.join(f'0x{one:04x}' for one in tpids) or 'untagged'}"


def _mark(dscp: int | None) -> str:
    return "" if dscp is None else f" DSCP {dscp}"


def _family(family: int) -> str:
    return "" if family == 4 else " IPv6"
