"""Work in a thread that sees one FRR's directories in the place of the system's."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable
from pathlib import Path

from edge.errors import DaemonError
from edge.net import namespaces as ns
from edge.own.kinds import Mount
from edge.own.places import cover


def in_view(mounts: Iterable[Mount], netns: Path, work: Callable[[], None]) -> None:
    """Run `work` in a thread of its own inside a network namespace, with `mounts` where they belong.

    What it starts sees them, too, and keeps doing so. Raises what `work` raises, DaemonError when the
    namespaces cannot be had.
    """
    failed: list[BaseException] = []

    def run() -> None:
        try:
            try:
                _enter(mounts, netns)
            except OSError as error:
                raise DaemonError(f"FRR in {netns.name}: {error.strerror or error}") from error
            work()
        except BaseException as error:  # noqa: BLE001 - raised again by the thread that waits
            failed.append(error)

    # The thread ends with its namespaces: nothing has to be put back.
    thread = threading.Thread(target=run, name=f"frr-{netns.name}")
    thread.start()
    thread.join()
    if failed:
        raise failed[0]


def _enter(mounts: Iterable[Mount], netns: Path) -> None:
    fd = os.open(netns, os.O_RDONLY | os.O_CLOEXEC)
    try:
        ns.unshare(ns.CLONE_NEWNS)
        ns.mount("none", "/", flags=ns.MS_REC | ns.MS_PRIVATE)
        cover(mounts)
        # A copy of the names would keep every namespace of the sandbox alive as long as this router.
        while os.path.ismount(netns.parent):
            ns.umount(netns.parent)
        ns.setns(fd)
    finally:
        os.close(fd)
