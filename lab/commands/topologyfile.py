"""The word after -t: a file, or a name of the gallery where there is no such file."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem


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

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """The gallery's names beside what lies here; files alone where no name begins so.

        bash completes files itself only where it is told no word at all, so beside names they are told as
        words. What would have to be quoted is left to that other case: each shell quotes otherwise.
        """
        from lab.drills.topologies import gallery

        names = [name for name in gallery() if name.startswith(incomplete)]
        if not names:
            return super().shell_complete(ctx, param, incomplete)
        words = dict.fromkeys([*names, *_lying_here(incomplete)])
        return [CompletionItem(word, help="gallery" if word in names else None) for word in words]


def _lying_here(begins: str) -> list[str]:
    """Files and folders of the working directory as words; a folder ends in a slash."""
    try:
        with os.scandir() as entries:
            found = [entry.name + ("/" if entry.is_dir() else "") for entry in entries]
    except OSError:
        # It may not be read, or is gone: nothing lies here.
        return []
    return sorted(
        word
        for word in found
        if word.startswith(begins) and not word.startswith(".") and shlex.quote(word) == word
    )
