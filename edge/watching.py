"""Counters shown once, or again and again: in place on a terminal, as pages or lines of JSON elsewhere."""

from __future__ import annotations

import contextlib
import json
import select
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

import click

if TYPE_CHECKING:
    from rich.console import RenderableType


class View(Protocol):
    """What was read at one moment."""

    def to_json(self) -> dict[str, Any]:
        """Plain data."""


V = TypeVar("V", bound=View)


class Watch(Generic[V]):
    """read: takes a look. tables: shows one, and the one before for what has passed since."""

    def __init__(self, read: Callable[[], V], tables: Callable[[V, V | None], RenderableType]) -> None:
        self._read = read
        self._tables = tables

    def once(self, output: str) -> None:
        """One look, as `table` or `json`."""
        view = self._read()
        if output == "json":
            click.echo(json.dumps(view.to_json(), indent=2, ensure_ascii=False))
            return
        from edge.console import show

        show(self._tables(view, None))

    def on(self, output: str, every_s: float) -> None:
        """Looks until Ctrl-C, which is how one ends this, not a failure."""
        with contextlib.suppress(KeyboardInterrupt):
            if output == "json":
                self._lines(every_s)
            elif sys.stdout.isatty():
                self._live(every_s)
            else:
                self._pages(every_s)

    def _lines(self, every_s: float) -> None:
        while True:
            click.echo(json.dumps(self._read().to_json()))
            _pause(every_s)

    def _pages(self, every_s: float) -> None:
        from edge.console import show

        before: V | None = None
        while True:
            view = self._read()
            show(self._tables(view, before))
            click.echo()
            sys.stdout.flush()
            before = view
            _pause(every_s)

    def _live(self, every_s: float) -> None:
        from edge.liveview import watch

        before = self._read()

        def look() -> RenderableType:
            nonlocal before
            view, earlier = self._read(), before
            before = view
            return self._tables(view, earlier)

        watch(self._tables(before, before), look, every_s, whole=False)


def _pause(seconds: float) -> None:
    """Wait without anything to wait for: counters send no event."""
    select.select([], [], [], seconds)
