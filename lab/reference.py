"""The tables of docs/service.md, from verbs and rulebook: `python -m lab.reference docs/service.md`."""

from __future__ import annotations

import sys
from pathlib import Path

from lab.groups import GROUPS
from lab.service.rulebook import RULES
from lab.verbs import verbs_of

MARKER = "<!-- From here on generated: python -m lab.reference docs/service.md -->"


def render() -> str:
    """All verbs with an example each, and all refusals with their sources, as Markdown."""
    parts = ["## Every command\n"]
    for group, words in GROUPS.items():
        parts.append(f"### {group}\n\n{words}\n\n| command | what it does | example |\n|---|---|---|")
        parts += [
            f"| `{verb.name}` | {verb.summary} | `edgelab {group} {verb.name} {verb.example}` |"
            for verb in verbs_of(group)
        ]
        parts.append("")
    parts.append("## Every refusal\n\n| code | rule | source |\n|---|---|---|")
    parts += [f"| `{rule.code}` | {rule.text} | {rule.source} |" for rule in RULES.values()]
    return "\n".join(parts) + "\n"


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
