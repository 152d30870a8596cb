"""What Python's socket module does not bring: the kernel's receive times, and waiting for several sockets."""

from __future__ import annotations

import select
import socket
import struct
import time
from collections.abc import Iterable, Mapping

SO_TIMESTAMPNS = 35
"""Ask for the kernel's receive time with each packet (socket(7); asm-generic/socket.h)."""

TIMESTAMP_SPACE = socket.CMSG_SPACE(struct.calcsize("@ll"))

AncillaryData = Iterable[tuple[int, int, bytes]]


def enable_timestamps(sock: socket.socket) -> None:
    """From now on each received packet brings the time at which the kernel got it."""
    sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)


def timestamp_ns(ancillary: AncillaryData) -> int:
    """Nanoseconds since 1970 at which the kernel got the packet; now, when it did not say."""
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == SO_TIMESTAMPNS and len(data) >= struct.calcsize("@ll"):
            seconds, nanoseconds = struct.unpack_from("@ll", data)
            return int(seconds) * 1_000_000_000 + int(nanoseconds)
    return time.time_ns()


def wait_ready(sockets: Mapping[int, socket.socket], seconds: float) -> list[socket.socket]:
    """The sockets (by descriptor) that have something to read, or an error, within `seconds`."""
    poller = select.poll()
    for fd in sockets:
        poller.register(fd, select.POLLIN)
    milliseconds = max(0, -int(-seconds * 1000 // 1))
    return [sockets[fd] for fd, _ in poller.poll(milliseconds)]
