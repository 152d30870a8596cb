"""`edge mark`: a capture as it would look behind the router, and what was in it by class."""

from __future__ import annotations

import json
import sys
import time
from typing import Any, TextIO

import click

from edge.commands.common import direction_option, format_option, peering_option, policy_option
from edge.errors import EXIT_OK
from edge.fastpath.capture import CaptureCounts, Count
from edge.fastpath.capturefile import STREAM, mark_file, size_of
from edge.progress import LiveLine
from edge.qos.expressroute import TREATMENT
from edge.qos.model import DEFAULT_CLASS, Policy, Treatment
from edge.qos.names import dscp_words
from edge.qos.profiles import PROFILES, profile

EPILOG = """\b
Examples:
  edge mark call.pcap marked.pcap --policy teams --direction out
  edge mark call.pcapng marked.pcapng --policy my-policy.yml --direction in --format json
  tcpdump -i eth0 -w - | edge mark - - --policy teams | tshark -r - -T fields -e ip.dsfield.dscp

\b
Exit status: 0 done; 2 the command line, the policy or the capture is wrong; 3 the machine lacks something;
4 the result could not be written. Whatever the status, a regular file OUT is a whole capture or as it was
before; what has gone to `-`, a pipe or a device by then stays there. When the reader of a pipe goes, as
`head` does, edge ends without a word or a table, and with 0.
"""

_UNITS = ("B", "kB", "MB", "GB", "TB")
_REFRESH_S = 0.1


@click.command("mark", epilog=EPILOG)
@click.argument("source", metavar="IN")
@click.argument("target", metavar="OUT")
@policy_option(required=True)
@direction_option
@peering_option
@format_option
def mark_command(
    source: str, target: str, policy_name: str, direction: str, peering: str, output: str
) -> int:
    """Write the capture IN to OUT with the DSCP that a policy gives each packet.

    IN and OUT are pcap or pcapng, of any size; OUT has the format of IN. `-` is standard input or output
    (the table then goes to standard error). OUT differs from IN in DSCP and IPv4 header checksum only:
    ECN, time stamps, comments and whatever is not IP stay as they are.
    """
    # Compiling takes modules that --help does not.
    from edge.qos.table import compile_policy

    policy = _policy(policy_name)
    treatment = TREATMENT[peering]  # type: ignore[index]
    compiled = compile_policy(policy, direction, treatment)  # type: ignore[arg-type]
    progress = Progress(sys.stderr, size_of(source))
    try:
        counts = mark_file(source, target, compiled, len(policy.rules), progress)
    finally:
        progress.clear()
    document = summary(policy, treatment, counts)
    results = sys.stderr if target == STREAM else sys.stdout
    if output == "json":
        print(json.dumps(document, indent=2), file=results)
    else:
        _print(rows(document), results)
    return EXIT_OK


def _policy(name: str) -> Policy:
    if name in PROFILES:
        return profile(name)
    # Reading files takes a YAML parser, which is slow to import.
    from edge.qos.policyfile import find

    return find(name)


def _print(lines: list[tuple[str, ...]], stream: TextIO) -> None:
    """A table; without rich where nobody would see it: that alone costs as much as marking 60 MB."""
    if stream.isatty():
        from edge.console import show, table

        show(table(COLUMNS, lines, spare=("amount", "marked anew")), stream=stream)
        return
    widths = [max(map(len, column)) for column in zip(COLUMNS, *lines, strict=True)]
    for line in (COLUMNS, *lines):
        cells = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        print("   ".join(cells).rstrip(), file=stream)


class Progress:
    """How far the work is, on a terminal. total: octets there are to do, None unknown."""

    def __init__(self, stream: TextIO, total: int | None) -> None:
        self._line, self._total = LiveLine(stream), total
        self._began = self._last = time.monotonic()

    def __call__(self, done: int) -> None:
        """So many octets of the source are done."""
        now = time.monotonic()
        if not self._line.live or now - self._last < _REFRESH_S:
            return
        self._last = now
        speed = f"{amount(done / (now - self._began))}/s"
        if self._total:
            words = f"{100 * done // self._total:3} %  {amount(done)} of {amount(self._total)}, {speed}"
        else:
            words = f"{amount(done)}, {speed}"
        self._line.show(words)

    def clear(self) -> None:
        """Take the line away before something else is printed."""
        self._line.clear()


def amount(octets: float) -> str:
    """Octets in the unit that suits: `1.5 MB`. Pure."""
    for unit in _UNITS:
        if octets < 1000 or unit == _UNITS[-1]:
            break
        octets /= 1000
    return f"{octets:.0f} {unit}" if unit == _UNITS[0] else f"{octets:.1f} {unit}"


def summary(policy: Policy, treatment: Treatment, counts: CaptureCounts) -> dict[str, Any]:
    """What was in the capture, as plain data. Pure.

    `dscp` of a class is what its packets left with, null where they kept theirs.
    """
    keeps = treatment == "steer"
    by_class = {item.name: Count() for item in policy.classes}
    marks: dict[str, set[int | None]] = {item.name: set() for item in policy.classes}
    rules = []
    unmatched = (None, DEFAULT_CLASS, policy.unmatched_dscp, counts.unmatched)
    for name, class_name, marked, count in [
        *((r.name, r.class_name, r.dscp, c) for r, c in zip(policy.rules, counts.rules, strict=True)),
        unmatched,
    ]:
        dscp = None if keeps else marked
        by_class[class_name] += count
        if count.packets:
            marks[class_name].add(dscp)
        rules.append({"name": name, "class": class_name, "dscp": dscp, **_numbers(count)})
    return {
        "version": 1,
        "format": counts.format,
        "policy": policy.name,
        "treatment": treatment,
        "classes": [
            {"name": name, "dscp": _sorted(marks[name]), **_numbers(count)}
            for name, count in by_class.items()
        ],
        "rules": rules,
        "not_ip": _numbers(counts.not_ip),
        "other_link_types": _numbers(counts.other),
        "total": _numbers(counts.total),
    }


def _sorted(values: set[int | None]) -> list[int | None]:
    return sorted(values, key=lambda value: -1 if value is None else value)


def _numbers(count: Count) -> dict[str, int]:
    return {"packets": count.packets, "octets": count.octets, "changed": count.changed}


COLUMNS = ("class", "DSCP", "packets", "amount", "marked anew")


def rows(document: dict[str, Any]) -> list[tuple[str, ...]]:
    """The summary as rows of a table. Pure."""
    lines = [(entry["name"], _words(entry["dscp"]), entry) for entry in document["classes"]]
    for key, name in (("not_ip", "not IP"), ("other_link_types", "other link types")):
        if document[key]["packets"]:
            lines.append((name, "", document[key]))
    lines.append(("all", "", document["total"]))
    counted = [
        (str(numbers["packets"]), amount(numbers["octets"]), str(numbers["changed"]))
        for _, _, numbers in lines
    ]
    widths = [max(map(len, (title, *cells))) for title, *cells in zip(COLUMNS[2:], *counted, strict=True)]
    return [
        (name, dscp, *(text.rjust(width) for text, width in zip(cells, widths, strict=True)))
        for (name, dscp, _), cells in zip(lines, counted, strict=True)
    ]


def _words(values: list[int | None]) -> str:
    return ", ".join("as it came" if value is None else dscp_words(value) for value in values)
