"""How a lab differs from what was recorded of it, in words. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from lab.baseline.picture import SECTIONS, Picture

_ONE = {
    "nodes": "node",
    "links": "link",
    "sessions": "session",
    "routes": "route",
    "classes": "queue",
    "checks": "check",
}


@dataclass(frozen=True, slots=True)
class Drift:
    """One difference. section and name: what it is about, as the baseline has it."""

    section: str
    name: str
    words: str

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {"section": self.section, "name": self.name, "words": self.words}


def drift(
    before: Picture, now: Picture, silent: Mapping[str, str] = MappingProxyType({})
) -> tuple[Drift, ...]:
    """Every difference, in the order of a lab's making: what is first may be the cause of what follows.

    silent: namespaces of which `now` has no routes because their router does not answer, with words for it.
    That is one difference each; which routes they have, nobody knows.
    """
    found = []
    for section in SECTIONS:
        old, new = before[section], now[section]
        if section == "routes":
            found += [Drift(section, name, f"routes of {name}: {silent[name]}") for name in sorted(silent)]
            old = {name: route for name, route in old.items() if name.partition(" ")[0] not in silent}
        found += _section(section, old, new)
    return tuple(found)


def _section(section: str, before: dict[str, Any], now: dict[str, Any]) -> Iterator[Drift]:
    for name in sorted({*before, *now}):
        old, new = before.get(name), now.get(name)
        what = f"{_ONE[section]} {name}"
        if new is None:
            yield Drift(section, name, f"{what} is gone{_about(section, old)}")
        elif old is None:
            yield Drift(section, name, f"{what} is new{_about(section, new)}")
        elif section == "checks":
            if old.get("ok") != new.get("ok"):
                yield Drift(section, name, f"{what} {'holds' if new.get('ok') else 'does not hold any more'}")
        else:
            changed = [key for key in sorted({*old, *new}) if old.get(key) != new.get(key)]
            if changed:
                words = ", ".join(
                    f"{_words(key)} was {_shown(old.get(key))}, is {_shown(new.get(key))}" for key in changed
                )
                yield Drift(section, name, f"{what}: {words}")


def _about(section: str, thing: dict[str, Any] | None) -> str:
    """Of a route, which it was: the rest is told by the name."""
    if section != "routes" or not thing:
        return ""
    text = f" (next hop {thing.get('next_hop')}, AS path {thing.get('as_path') or 'empty'}"
    communities = thing.get("communities")
    return f"{text}, communities {communities})" if communities else f"{text})"


def _words(key: str) -> str:
    return {"as_path": "AS path", "bfd": "BFD", "in": "prefixes in", "out": "prefixes out"}.get(
        key, key.replace("_", " ")
    )


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "nothing" if value in (None, "") else str(value)
