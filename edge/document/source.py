"""A file as it was read: its data, and the place of every part of it for the messages."""

from __future__ import annotations

import errno
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge.document.kind import Kind
from edge.document.tree import WHOLE_FILE, Mark, Reader, Value, mark_of
from edge.errors import InputError, Problem

MAX_BYTES = 1 << 20
"""Largest file, in octets; a topology of a thousand sites is smaller."""

DocumentPath = tuple[str | int, ...]
"""A place in the document: keys and list indexes."""

_UNPRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(slots=True)
class Source:
    """A file that was read: its name, its data and the places of its parts."""

    filename: str
    data: Any
    root: Value | None = None

    def mark(self, path: DocumentPath, at_key: bool = False) -> Mark:
        """Where `path` stands: its value, or with at_key its key.

        For a path that does not exist (a missing key): the key of its nearest parent that has one,
        else that parent's value.
        """
        if self.root is None:
            return WHOLE_FILE
        value, key = self.root, None
        for depth, part in enumerate(path):
            inner: Value | None = None
            if isinstance(value.content, dict) and isinstance(part, str):
                inner = value.content.get(part)
            elif isinstance(value.content, list) and isinstance(part, int) and part < len(value.content):
                inner = value.content[part]
            if inner is None:
                return (key or value.mark) if depth else value.mark
            key = value.keys.get(part) if isinstance(part, str) else None
            value = inner
        return key if at_key and key is not None else value.mark

    def problem(self, path: DocumentPath, message: str, hint: str = "", at_key: bool = False) -> Problem:
        """A problem at a place of this file."""
        mark = self.mark(path, at_key)
        dotted = ".".join(map(str, path))
        return Problem(self.filename, mark.line, mark.column, dotted, message, hint)


def read(path: Path, kind: Kind) -> Source:
    """Read a file of this kind. Raises InputError when it cannot be read or is not YAML."""
    name = str(path)
    try:
        with path.open("rb") as stream:
            raw = stream.read(MAX_BYTES + 1)
    except OSError as error:
        raise _refused(name, *_words_for(error, kind)) from error
    except ValueError as error:
        raise _refused(name, "is no file name", f"name a {kind.file} ({kind.suffix})") from error
    if len(raw) > MAX_BYTES:
        raise _refused(
            name,
            f"is larger than {MAX_BYTES >> 10} KiB",
            f"is it a {kind.noun}? {kind.too_large}",
        )
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        mark = mark_of(raw[: error.start].decode("utf-8-sig"), None)
        raise _refused(
            name, "is not text in UTF-8", f"save it as UTF-8; a binary file is no {kind.noun}", mark
        ) from error
    return parse(text, name, kind)


def parse(text: str, filename: str, kind: Kind) -> Source:
    """Read a file of this kind from text. Raises InputError."""
    if len(text) > MAX_BYTES:
        raise _refused(filename, f"is larger than {MAX_BYTES >> 10} KiB", f"is it a {kind.noun}?")
    text = text.removeprefix("\ufeff")
    unprintable = _UNPRINTABLE.search(text)
    if unprintable is not None:
        raise _refused(
            filename,
            f"character U+{ord(unprintable[0]):04X} is not allowed in YAML",
            f"take it out; a binary file is no {kind.noun}",
            mark_of(text, unprintable.start()),
        )
    root = Reader(text, filename, kind).read()
    if not isinstance(root.content, dict):
        found = "a list" if isinstance(root.content, list) else "a single value"
        raise _refused(
            filename,
            f"holds {found}, not a {kind.noun}",
            kind.begin,
            root.mark,
        )
    return Source(filename, root.plain(), root)


def from_document(document: object, kind: Kind) -> Source:
    """A source without places, from plain JSON data. Raises InputError when it is no object."""
    if not isinstance(document, dict):
        raise _refused(kind.noun, "is not an object", f"send the whole {kind.noun} as one JSON object")
    return Source(kind.noun, document)


def step(data: Any, part: str | int) -> Any:
    """The part of an object or a list, or None when it has none."""
    if isinstance(data, dict):
        return data.get(part)
    if isinstance(data, list) and isinstance(part, int) and part < len(data):
        return data[part]
    return None


def fit(loc: DocumentPath, data: Any, keep_last: bool = False) -> DocumentPath:
    """A path of the validated document as the file has it.

    Parts that the file does not have fall out: the index of a lone value where a list may stand, pydantic's
    own tags. keep_last keeps a last key that is missing from its object.
    """
    path: list[str | int] = []
    here = data
    for number, part in enumerate(loc):
        inside_dict = isinstance(here, dict) and isinstance(part, str) and part in here
        inside_list = isinstance(here, list) and isinstance(part, int) and part < len(here)
        if inside_dict or inside_list:
            path.append(part)
            here = step(here, part)
        elif keep_last and number == len(loc) - 1 and isinstance(here, dict):
            path.append(part)
    return tuple(path)


def _refused(filename: str, message: str, hint: str, mark: Mark = WHOLE_FILE) -> InputError:
    return InputError([Problem(filename, mark.line, mark.column, "", message, hint)])


def _words_for(error: OSError, kind: Kind) -> tuple[str, str]:
    if error.errno in (errno.ENOENT, errno.ENOTDIR):
        return "there is no such file", f"check the name given with {kind.option}"
    if error.errno == errno.EISDIR:
        return "is a directory", f"name the {kind.file} in it ({kind.suffix})"
    if error.errno == errno.EACCES:
        return "may not be read", "give yourself the right to read it (chmod)"
    return f"cannot be read: {os.strerror(error.errno or 0)}", "check the file"
