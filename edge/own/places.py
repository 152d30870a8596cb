"""Directories of a user's own router in the places where its software looks for them."""

from __future__ import annotations

from collections.abc import Iterable

from edge.net import namespaces as ns
from edge.own.kinds import Mount


def cover(mounts: Iterable[Mount]) -> None:
    """Put directories in their places in the mount namespace of the calling thread. Raises OSError."""
    for mount in mounts:
        if not mount.target.is_dir():
            mount.target.mkdir(mode=0o755)
            mount.target.chmod(0o755)
        ns.mount(str(mount.source), mount.target, "none", ns.MS_BIND)
