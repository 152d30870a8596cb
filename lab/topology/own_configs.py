"""Configurations of users' own routers that a topology names, read in and written out in their place.

As with policy files (`policies`): a running lab derives its model from the document alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from edge.errors import Problem
from lab.topology.source import MAX_BYTES, DocumentPath, Source, step

_PATH_HINT = "its path is seen from the topology file's folder"


def write_out(source: Source, directory: Path) -> list[Problem]:
    """Put the text of configurations where `source` names their files; what is wrong with them.

    directory: where relative paths begin.
    """
    problems: list[Problem] = []
    for path, edge in _edges(source.data):
        word = edge.get("config")
        if not isinstance(word, str) or "\n" in word:
            continue
        where: DocumentPath = (*path, "config")
        text, wrong = _read(directory / word)
        if wrong:
            problems.append(source.problem(where, wrong, _PATH_HINT))
        # A stand-in keeps the rest of the file from being judged as if nothing were named.
        edge["config"] = {"file": str(directory / word), "text": text}
    return problems


def _edges(data: Any) -> Iterator[tuple[DocumentPath, dict[str, Any]]]:
    sites = step(data, "sites")
    for name, site in sites.items() if isinstance(sites, dict) else ():
        edges = step(site, "edges")
        for number, edge in enumerate(edges if isinstance(edges, list) else ()):
            if isinstance(edge, dict):
                yield ("sites", name, "edges", number), edge


def _read(file: Path) -> tuple[str, str]:
    """The text of a file, or what is wrong with it."""
    try:
        if not file.is_file():
            return "", f"there is no configuration file {file}"
        raw = file.read_bytes()
        if len(raw) > MAX_BYTES:
            return "", f"{file} has {len(raw)} octets; {MAX_BYTES} is the most that a configuration may have"
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        return "", f"{file} is not text in UTF-8"
    except (OSError, ValueError) as error:
        return "", f"{file} cannot be read: {getattr(error, 'strerror', None) or error}"
    if not text.strip():
        return "", f"{file} is empty"
    return text, ""
