"""Set the calling process apart from the machine: its own network, mounts and an empty /run."""

from __future__ import annotations

import socket
import struct
from fcntl import ioctl
from pathlib import Path

from edge.net import namespaces

NETNS_DIRECTORY = Path("/run/netns")
MS_SHARED = 1 << 20
SIOCSIFFLAGS, IFF_UP = 0x8914, 1


def isolate() -> None:
    """Leave the machine's network and mounts for new ones, with nothing in /run and loopback up.

    Threads that exist already stay where they were. Raises PermissionError without root.
    """
    namespaces.unshare(namespaces.CLONE_NEWNS | namespaces.CLONE_NEWNET)
    namespaces.mount("none", "/", flags=namespaces.MS_REC | namespaces.MS_PRIVATE)
    namespaces.mount("tmpfs", "/run", "tmpfs", namespaces.MS_NOSUID | namespaces.MS_NODEV, "mode=755")
    # The first `ip netns add` would make this mount and leave it.
    NETNS_DIRECTORY.mkdir()
    namespaces.mount("tmpfs", NETNS_DIRECTORY, "tmpfs", data="mode=755")
    namespaces.mount("none", NETNS_DIRECTORY, flags=MS_SHARED)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        ioctl(control, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", IFF_UP))
