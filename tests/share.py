"""A pytest plugin: runs that name one directory in EDGELAB_TEST_SHARE share the tests, module by module.

Each module is run by who comes to it first; a folder of its name in the directory says that it is taken.
The stock kernel has one processor, so two guests take half the time of one.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

SHARE = "EDGELAB_TEST_SHARE"


class Share:
    """Which modules this run has taken, and which it found taken."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._ours: dict[str, bool] = {}

    def takes(self, module: str) -> bool:
        """Whether this run is the one for the module, a node id."""
        if module not in self._ours:
            try:
                # Of all who make a folder one succeeds, on a file system of another machine as well.
                (self._directory / module.replace("/", ":")).mkdir()
            except FileExistsError:
                self._ours[module] = False
            else:
                self._ours[module] = True
        return self._ours[module]

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
        """Leave out what another run takes, and say which test is the next here: fixtures end by that."""
        if not self.takes(_module(item)):
            return True
        items = item.session.items
        following = (one for one in items[items.index(item) + 1 :] if self.takes(_module(one)))
        ours = next(following, None)
        if ours is nextitem:
            return None
        item.ihook.pytest_runtest_protocol(item=item, nextitem=ours)
        return True


def _module(item: pytest.Item) -> str:
    return item.nodeid.partition("::")[0]


def pytest_configure(config: pytest.Config) -> None:
    """Share, where a directory is named."""
    directory = os.environ.get(SHARE)
    if directory:
        config.pluginmanager.register(Share(Path(directory)), "share")
