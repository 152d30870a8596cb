"""What a check says. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

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
        return f"{text} {check.state}"
    if isinstance(check, FrameCheck):
        tags = "/".join(map(str, check.tags)) or "untagged"
        return f"frame {check.link} {tags} {check.protocol}"
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


def _family(family: int) -> str:
    return "" if family == 4 else " IPv6"
