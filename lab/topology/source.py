"""A topology file as it was read: its data, and the place of every part of it for the messages."""

from __future__ import annotations

from pathlib import Path

from edge.document import source as document
from edge.document.kind import Kind
from edge.document.source import MAX_BYTES, DocumentPath, Source, fit, step

__all__ = ["MAX_BYTES", "TOPOLOGY", "DocumentPath", "Source", "fit", "from_document", "parse", "read", "step"]

TOPOLOGY = Kind(
    noun="topology",
    file="topology file",
    suffix="*.edge.yml",
    option="-t",
    begin="begin with `name: my-lab`, then `circuits:`",
    empty="begin with `name: my-lab`; `edgelab schema` lists all keys",
    too_large="generate long lists with `count`",
    depth="a topology needs 7 levels",
)
"""A topology file in messages."""


def read(path: Path) -> Source:
    """Read a topology file. Raises InputError when it cannot be read or is not YAML."""
    return document.read(path, TOPOLOGY)


def parse(text: str, filename: str) -> Source:
    """Read a topology from text. Raises InputError."""
    return document.parse(text, filename, TOPOLOGY)


def from_document(data: object) -> Source:
    """A source without places, from plain JSON data. Raises InputError when it is no object."""
    return document.from_document(data, TOPOLOGY)
