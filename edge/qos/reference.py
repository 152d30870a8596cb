"""The parts of docs/qos.md that come from tables. Pure but for `main`, which writes the page anew:

    python -m edge.qos.reference docs/qos.md

A part stands between `<!-- generated: NAME -->` and `<!-- end -->`.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from edge.qos.expressroute import TABLE
from edge.qos.model import CLASSES
from edge.qos.names import dscp_words
from edge.qos.policykeys import CLASS_KEYS, POLICY_KEYS, RULE_KEYS, Key
from edge.qos.profiles import PROFILES

_PART = re.compile(r"(<!-- generated: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def refresh(page: str) -> str:
    """The page with every generated part written anew. Raises KeyError for a part of an unknown name."""
    return _PART.sub(lambda found: f"{found[1]}\n{PARTS[found[2]]()}\n\n{found[3]}", page)


def _classes() -> str:
    by_name = {row.class_name: row for row in TABLE}
    rows = [
        (
            item.name,
            dscp_words(by_name[item.name].dscp),
            by_name[item.name].workload,
            f"{item.queue}{', strict' if item.strict else ''}",
            f"{item.share} %",
        )
        for item in CLASSES
    ]
    return _table(("class", "DSCP", "for", "queue", "share"), rows)


def _profiles() -> str:
    return _table(("policy", "what it knows"), [(f"`{one.name}`", one.title) for one in PROFILES.values()])


def _keys(keys: Mapping[str, Key]) -> str:
    rows = [
        (
            f"`{key.name}`",
            f"{key.meaning}{'; one or a list' if key.many else ''}",
            key.default or "**required**",
            key.example if key.read is None else f"`{key.example}`",
        )
        for key in keys.values()
    ]
    return _table(("key", "meaning", "when left out", "example"), rows)


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = [f"| {' | '.join(line)} |" for line in (head, *rows)]
    return "\n".join((lines[0], "|---" * len(head) + "|", *lines[1:]))


PARTS: Mapping[str, Callable[[], str]] = {
    "classes": _classes,
    "profiles": _profiles,
    "policy_keys": lambda: _keys(POLICY_KEYS),
    "rule_keys": lambda: _keys(RULE_KEYS),
    "class_keys": lambda: _keys(CLASS_KEYS),
}
"""Every part by name."""


def main(page: Path) -> None:
    """Write the page anew."""
    page.write_text(refresh(page.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
