"""The word after -t: a file, or a name of the gallery where there is no such file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click


class TopologyFile(click.Path):
    """A topology file's path. `contoso` is the gallery's, unless a file is called so; nothing is opened."""

    def __init__(self) -> None:
        super().__init__(path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The path. One that leads nowhere is told of by who reads it."""
        from lab.drills.topologies import GALLERY, SUFFIX, gallery

        path = Path(str(super().convert(value, param, ctx)))
        if not path.exists() and str(path) in gallery():
            return GALLERY / f"{path}{SUFFIX}"
        return path
