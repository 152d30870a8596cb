"""What a kind of file is called in messages. Pure data."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Kind:
    """The words for one kind of file.

    noun: `topology`. file: `topology file`. suffix: how its name ends. option: where it is named on the
    command line. begin: how one begins. empty: the way out of an empty file. too_large: of one that is too
    large. depth: how deep one is nested.
    """

    noun: str
    file: str
    suffix: str
    option: str
    begin: str
    empty: str
    too_large: str
    depth: str
