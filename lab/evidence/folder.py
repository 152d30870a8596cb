"""The folder that evidence is written to. A file that cannot be written is told of, and never ends a run."""

from __future__ import annotations

import errno
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edge.errors import EdgeError

README = "README.txt"
INDEX = "index.json"
NO_ROOM = (errno.ENOSPC, errno.EDQUOT)


@dataclass(slots=True)
class Folder:
    """Files with what each is. problems: what could not be had or written, in words."""

    path: Path
    title: str
    files: dict[str, str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    full: bool = False

    @classmethod
    def make(cls, base: Path, name: str, title: str) -> Folder:
        """A new folder in `base`, which is made if need be. Raises OSError when it cannot be."""
        base.mkdir(parents=True, exist_ok=True)
        for number in range(1, 1000):
            path = base / (name if number == 1 else f"{name}-{number}")
            try:
                path.mkdir()
            except FileExistsError:
                continue
            return cls(path, title)
        raise FileExistsError(errno.EEXIST, "there are a thousand of that name", str(base / name))

    def write(self, name: str, what: str, content: Callable[[], str | bytes]) -> None:
        """A file of what `content` gives."""

        def write(path: Path) -> None:
            data = content()
            path.write_bytes(data if isinstance(data, bytes) else data.encode(errors="replace"))

        self.have(name, what, write)

    def json(self, name: str, what: str, content: Callable[[], Any]) -> None:
        """A file of data."""
        self.write(
            name, what, lambda: json.dumps(content(), indent=2, ensure_ascii=False, default=str) + "\n"
        )

    def have(self, name: str, what: str, write: Callable[[Path], object]) -> None:
        """Have `write` make a file. Nothing more is tried once the disk is full."""
        if self.full:
            return
        path = self.path / name
        try:
            path.parent.mkdir(exist_ok=True)
            write(path)
        except OSError as error:
            self.full = error.errno in NO_ROOM
            self.problems.append(f"{name} could not be written: {error.strerror or error}")
            return
        except EdgeError as error:
            self.problems.append(f"{name} could not be had: {error}")
            return
        self.files[name] = what

    def close(self) -> None:
        """Write the index, for people and for programs: what is what, and what is missing."""
        self.json(INDEX, "this list, for programs", self._index)
        lines = [self.title, ""]
        rows = dict(_row(name, what) for name, what in sorted(self.files.items()))
        width = max(map(len, rows), default=0) + 2
        lines += [f"{name.ljust(width)}{what}" for name, what in rows.items()]
        lines += ["", *(f"missing: {problem}" for problem in self.problems)] if self.problems else []
        self.write(README, "this list", lambda: "\n".join(lines) + "\n")

    def _index(self) -> dict[str, Any]:
        files = [{"file": name, "what": what} for name, what in sorted(self.files.items())]
        return {"version": 1, "title": self.title, "files": files, "problems": self.problems}


def _row(name: str, what: str) -> tuple[str, str]:
    """A line of the index for people: files of a folder, one for each namespace, share theirs."""
    folder, slash, file = name.partition("/")
    if not slash:
        return name, what
    return f"{folder}/", what.replace(file.removesuffix(".txt"), "each namespace")
