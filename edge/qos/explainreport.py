"""An explanation for people and for programs. Pure but for rich's objects.

The table has two parts: what happens to the packet, and the rules with the reason why each did not take it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from edge.qos.explain import AtMsee, Explanation, Judged
from edge.qos.names import dscp_words
from edge.qos.packets import words
from edge.qos.policytext import conditions_words

if TYPE_CHECKING:
    from rich.console import RenderableType

ROWS_MAX = 12
"""Most rules above the matching one that a table lists; JSON has them all."""


def to_data(one: Explanation) -> dict[str, Any]:
    """The explanation as plain data for JSON. DSCP null: dropped, or there is none."""
    seen, verdict, rule = one.seen, one.verdict, one.rule
    packet: dict[str, Any] = {"words": words(seen), "not_ip": seen.opaque or None}
    packet["tags"] = [{"tpid": f"0x{tpid:04x}", "vid": tci & 0xFFF} for tpid, tci in seen.tags]
    if not seen.opaque:
        packet |= {
            "source": str(seen.source),
            "destination": str(seen.destination),
            "protocol": seen.protocol,
            "ports": list(seen.ports) if seen.ports else None,
            "dscp": seen.dscp,
            "ecn": seen.ecn,
            "fragment": seen.fragment or None,
            "hints": sorted(seen.hints),
        }
    return {
        "packet": packet,
        "policy": one.policy.name,
        "direction": one.direction,
        "peering": one.peering,
        "treatment": one.treatment,
        "verdict": {
            "rule": verdict.rule,
            "rule_name": rule.name if rule else None,
            "position": rule.position if rule and rule.position else None,
            "class": verdict.class_name,
            "queue": verdict.queue,
            "dscp": None if seen.opaque else verdict.dscp,
            "changed": not seen.opaque and verdict.dscp != seen.dscp,
        },
        "msee": _msee_data(one.msee),
        "msee_without_policy": _msee_data(one.msee_unmarked),
        "rules_above": [_judged_data(item) for item in one.above],
        "rules_below_that_match": [_judged_data(item) for item in one.below],
    }


def _msee_data(positions: Sequence[AtMsee]) -> dict[str, int | None]:
    return {position.knob: position.dscp for position in positions}


def _judged_data(item: Judged) -> dict[str, Any]:
    return {
        "rule": item.number,
        "name": item.rule.name,
        "class": item.rule.class_name,
        "misses": [{"condition": miss.key, "why": miss.words} for miss in item.misses],
    }


def tables(one: Explanation, chosen: bool = True) -> list[RenderableType]:
    """What happens, as a table of two columns; then the rules above, each with its first reason.

    chosen: whether somebody asked for this policy; if not, the table says which one it is.
    """
    from rich.text import Text

    from edge.console import GOOD, QUIET, Cell, table

    rows: list[Sequence[Cell]] = [
        (name, (value, GOOD if name == "class" else "")) for name, value in _facts(one)
    ]
    if not chosen:
        rows.insert(0, ("policy", f"{one.policy.name}, as no --policy names another"))
    parts: list[RenderableType] = [
        Text(words(one.seen), style="bold"),
        Text(""),
        table(("", "verdict"), rows, fold=("verdict",)),
    ]
    judged: list[Sequence[Cell]] = [
        (str(item.number), item.rule.name, ("no", QUIET), item.misses[0].words)
        for item in one.above[:ROWS_MAX]
    ]
    hidden = len(one.above) - ROWS_MAX
    if hidden > 0:
        judged.append(("", f"{hidden} more", ("no", QUIET), "--format json lists them all"))
    if one.rule is not None:
        judged.append((str(one.verdict.rule), one.rule.name, ("yes", GOOD), conditions_words(one.rule)))
    judged += [
        (str(item.number), item.rule.name, ("late", QUIET), "matches too, but stands lower")
        for item in one.below
    ]
    if judged:
        parts += [Text(""), table(("rule", "name", "takes it", "why"), judged, fold=("why",))]
    return parts


def _facts(one: Explanation) -> list[tuple[str, str]]:
    """(what, in words) about the packet's way."""
    item = one.policy.class_of(one.verdict.class_name)
    manner = "served first, policed to" if item.strict else "sure of"
    facts = [
        ("rule", _rule_words(one)),
        ("class", item.name),
        ("queue", f"{item.queue}, {manner} {item.share} % of the circuit"),
        ("DSCP", _dscp_words(one)),
    ]
    if one.msee:
        facts.append(("at the MSEE", _msee_words(one.msee)))
        if one.msee_unmarked != one.msee:
            facts.append(("had nobody marked it", _msee_words(one.msee_unmarked)))
    elif one.peering == "private" and not one.seen.opaque:
        facts.append(
            ("at the MSEE", "carried unchanged; private peering gives no priority in Microsoft's network")
        )
    return facts


def _rule_words(one: Explanation) -> str:
    if one.seen.opaque:
        return "none: rules see IP packets only"
    if one.rule is None:
        return f"none of the {len(one.policy.rules)} matches"
    where = f" ({one.rule.position})" if one.rule.position else ""
    return f"{one.verdict.rule} {one.rule.name}{where}"


def _dscp_words(one: Explanation) -> str:
    if one.seen.opaque:
        return f"none: {one.seen.opaque}"
    came, leaves = dscp_words(one.seen.dscp), dscp_words(one.verdict.dscp)
    if one.verdict.dscp != one.seen.dscp:
        return f"{came} -> {leaves}"
    why = "private peering carries it unchanged" if one.treatment == "steer" else "as it came"
    return f"{leaves}, {why}"


def _msee_words(positions: Sequence[AtMsee]) -> str:
    """`remark: 0` and so on; one word for all positions of the knob where they agree."""
    results = {position.dscp for position in positions}
    if len(results) == 1:
        (dscp,) = results
        return f"accepted as {dscp_words(dscp)}" if dscp is not None else "dropped"
    return ", ".join(
        f"{position.knob}: {'dropped' if position.dscp is None else dscp_words(position.dscp)}"
        for position in positions
    )
