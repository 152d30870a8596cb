"""Checks by packets: does it answer, and which way does it go."""

from __future__ import annotations

from typing import Any

from lab.access import LabAccess
from lab.checks.result import Verdict
from lab.hops import INTERNET, HopName, describe, explain_path, vias
from lab.lookup import source_namespace, target_address
from lab.model import PathCheck, PingCheck
from lab.probe import ping
from lab.trace import Path, trace

PING_S = 0.6
TRACE_S = 3.0
"""Longest single look, seconds; a check repeats it until its own deadline."""


def look_at_ping(access: LabAccess, check: PingCheck, seconds: float) -> Verdict:
    """Ping once; all replies must come. Raises UsageError for unknown names."""
    namespace = source_namespace(access.model, check.source)
    target = target_address(access.model, check.target, check.family)
    result = ping(access, namespace, target, check.count, min(PING_S, max(seconds, 0.1)))
    evidence: dict[str, Any] = {
        "target": str(target),
        "sent": result.sent,
        "received": result.received,
        "rtt_ms": [round(rtt, 3) for rtt in result.rtt_ms],
        "errors": list(result.errors),
    }
    words = f"{check.source} -> {check.target}: {result.words}"
    return Verdict(result.sent == result.received == check.count, words, evidence)


def look_at_path(access: LabAccess, check: PathCheck, seconds: float) -> Verdict:
    """Trace once and judge. Raises UsageError for unknown names."""
    namespace = source_namespace(access.model, check.source)
    target = target_address(access.model, check.target, check.family)
    path = trace(
        access,
        namespace,
        target,
        protocol=check.protocol,
        port=check.port,
        deadline_s=min(TRACE_S, max(seconds, 0.1)),
    )
    return judge_path(check, path, explain_path(access.model, path, namespace))


def judge_path(check: PathCheck, path: Path, names: tuple[HopName, ...]) -> Verdict:
    """Whether the path arrives, and by what the check asks for. Pure.

    It must cross `via` and nothing else: a path by the Internet crosses no circuit, and the reverse.
    """
    crossed = vias(names)
    evidence: dict[str, Any] = {
        "target": str(path.target),
        "reached": path.reached,
        "via": list(crossed),
        "hops": [
            {
                "address": str(name.address) if name.address else None,
                "rtt_ms": round(hop.rtt_ms, 3) if hop.rtt_ms is not None else None,
                "node": name.node,
                "circuit": name.circuit,
                "peering": name.peering,
                "connection": name.connection,
            }
            for hop, name in zip(path.hops, names, strict=True)
        ],
    }
    where = f"path {check.source} -> {check.target}"
    hops = f"(hops: {describe(names)})"
    expected = f"expected {_via_words(check.via)}"
    if not path.reached:
        return Verdict(False, f"{where} does not arrive: {path.problem} {hops}; {expected}", evidence)
    taken = " and ".join(crossed) if crossed else "no circuit and not by internet"
    if (INTERNET in crossed) is not (check.via == INTERNET) or check.via not in crossed:
        return Verdict(False, f"{where} leaves by {taken} {hops}, {expected}", evidence)
    if check.via == INTERNET and len(crossed) > 1:
        return Verdict(False, f"{where} leaves by {taken} {hops}, {expected} alone", evidence)
    peerings = {name.peering for name in names if name.circuit == check.via}
    if check.peering and check.peering not in peerings:
        seen = ", ".join(sorted(peerings))
        return Verdict(
            False, f"{where} crosses the {seen} peering {hops}, expected {check.peering}", evidence
        )
    if check.hop and check.hop not in {word for name in names for word in (name.node, name.namespace)}:
        return Verdict(False, f"{where} does not pass {check.hop} {hops}", evidence)
    return Verdict(True, f"{where} by {taken} {hops}", evidence)


def _via_words(via: str) -> str:
    return via if via == INTERNET else f"circuit {via}"
