"""The tables of docs/faults.md, from the table of kinds: `python -m lab.faults.reference docs/faults.md`."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Iterator
from pathlib import Path

from lab.faults.kinds import KINDS
from lab.faults.model import Kind
from lab.faults.units import fields_of

MARKER = "<!-- From here on generated: python -m lab.faults.reference docs/faults.md -->"


def render() -> str:
    """All kinds: what they do, how they end; then each one's target, options and example, as Markdown."""
    parts = ["## Every kind\n", "| kind | what it does | when it is healed | source |", "|---|---|---|---|"]
    parts += [
        f"| [`{kind.name}`](#{kind.name}) | {kind.words} | {kind.heals} | {kind.source} |"
        for kind in KINDS.values()
    ]
    for kind in KINDS.values():
        parts += _section(kind)
    return "\n".join(parts) + "\n"


def _section(kind: Kind) -> Iterator[str]:
    yield f"\n### {kind.name}\n"
    yield f"`edgelab fault {kind.name} {kind.example}`\n"
    yield f"The target is {kind.sort.words}."
    options = fields_of(kind.options)
    if not options:
        return
    yield "\n| option | meaning | default |\n|---|---|---|"
    for name, (field, known) in options.items():
        default = "needed"
        if field.default is not dataclasses.MISSING:
            # Nothing and 0 stand for what the words say.
            default = f"`{known.unit.show(field.default)}`" if field.default else ""
        yield f"| `--{name} {known.unit.name.replace('|', '/')}` | {known.help} | {default} |"


def refresh(page: str) -> str:
    """The page with everything behind MARKER made anew. Raises ValueError when it has no MARKER."""
    head, marker, _ = page.partition(MARKER)
    if not marker:
        raise ValueError(f"the page has no line {MARKER}; write it where the reference shall begin")
    return f"{head}{MARKER}\n\n{render()}"


def main() -> None:
    """Write the page that the command line names anew."""
    page = Path(sys.argv[1])
    page.write_text(refresh(page.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
