"""Packet rules on a kernel without nftables: iptables and ip6tables, the programs of its predecessor.

A namespace of ours has no rules but ours, so its tables `filter` and `nat` are replaced as a whole, each
family in one transaction a table. Both families read one text: lines that begin with -4 or -6 are for one
of them (iptables-restore(8)).
"""

from __future__ import annotations

import re

from edge.errors import CapabilityError, DaemonError
from edge.net.objects.routing import Ruleset
from edge.net.rulesets import DIFFERS, Rulesets
from edge.net.spaces import MissingError

FAMILIES = ("iptables-legacy", "ip6tables-legacy")
PACKAGE = "iptables"

EMPTY = "*filter\n:INPUT ACCEPT\n:FORWARD ACCEPT\n:OUTPUT ACCEPT\nCOMMIT\n*nat\nCOMMIT\n"
"""What is applied to take all rules away."""

_COUNTED = re.compile(r"^\[(\d+):(\d+)\] -A .*--comment \"?([\w.-]+)\"?(?: |$)")


def image(listing: str) -> str:
    """The rules and own chains in a listing of iptables-save; empty when there are none. Pure.

    Tables come in the order in which they were first used, so they are sorted. What moves by itself
    (counters, the day) and the built-in chains are left out.
    """
    tables: dict[str, list[str]] = {}
    lines: list[str] = []
    for line in listing.splitlines():
        if line.startswith("*"):
            lines = tables.setdefault(line, [])
        elif line.startswith("-A ") or (line.startswith(":") and line.split()[1] == "-"):
            lines.append(line.partition(" [")[0] if line.startswith(":") else line)
    return "\n".join(line for name, found in sorted(tables.items()) if found for line in (name, *found))


def counted(listing: str) -> dict[str, tuple[int, int]]:
    """The counters of commented rules in a listing of iptables-save -c: (packets, octets). Pure."""
    found: dict[str, tuple[int, int]] = {}
    for line in listing.splitlines():
        match = _COUNTED.match(line)
        if match:
            packets, octets = found.get(match[3], (0, 0))
            found[match[3]] = (packets + int(match[1]), octets + int(match[2]))
    return found


class Xtables(Rulesets):
    """The rules we put into namespaces. `enter(namespace)` gives the context that runs inside it."""

    def counters(self, namespace: str) -> dict[str, tuple[int, int]]:
        """Counters of commented rules, both families together: comment -> (packets, octets).

        Raises MissingError when there is no such namespace, DaemonError when they cannot be listed.
        """
        return counted("".join(self._save(namespace, family, "-c") for family in FAMILIES))

    def _apply(self, ruleset: Ruleset) -> None:
        if not ruleset.xtables:
            raise CapabilityError(
                f"{ruleset}: the kernel has no nftables, and these rules have no other form",
                "use a kernel with nftables (nf_tables, nf_tables_inet)",
            )
        self._restore(ruleset, ruleset.xtables)
        self._applied[ruleset.key] = (ruleset, self._image(ruleset.namespace))

    def _delete(self, ruleset: Ruleset) -> None:
        self._applied.pop(ruleset.key, None)
        try:
            self._restore(ruleset, EMPTY)
        except MissingError:
            return

    def _find(self, ruleset: Ruleset) -> Ruleset | None:
        there = self._image(ruleset.namespace)
        if not there:
            return None
        applied, known = self._applied.get(ruleset.key, (None, ""))
        if applied is not None and there == known:
            return applied
        return Ruleset(ruleset.namespace, ruleset.family, ruleset.table, DIFFERS)

    def _image(self, namespace: str) -> str:
        return "\n".join(filter(None, (image(self._save(namespace, family)) for family in FAMILIES)))

    def _save(self, namespace: str, family: str, *options: str) -> str:
        code, listing, stderr = self.program(namespace, f"{family}-save", options, package=PACKAGE)
        if code:
            raise DaemonError(f"{namespace}: {family}-save cannot list the rules: {stderr.strip()}")
        return listing

    def _restore(self, ruleset: Ruleset, text: str) -> None:
        for family in FAMILIES:
            code, _, stderr = self.program(ruleset.namespace, f"{family}-restore", (), text, package=PACKAGE)
            if code:
                words = stderr.strip() or f"{family}-restore gave no reason"
                raise DaemonError(f"{ruleset}: {family} refuses the rules: {words}")
