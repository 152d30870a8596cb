"""The word after -t: a file, or a name of the gallery where there is no such file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click


class TopologyFile(click.Path):
    """A topology file's path. `contoso` is the gallery's, unless something here is called so."""

    def __init__(self) -> None:
        super().__init__(path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The path. One that leads nowhere is told of by who reads it."""
        from lab.drills.topologies import GALLERY, SUFFIX, gallery

        word = str(value)
        if "/" not in word and word.removesuffix(SUFFIX) in gallery() and not Path(word).exists():
            return GALLERY / f"{word.removesuffix(SUFFIX)}{SUFFIX}"
        return super().convert(value, param, ctx)
