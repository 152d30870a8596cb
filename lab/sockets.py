"""What Python's socket module does not bring: the kernel's receive times, and waiting for several sockets."""

from __future__ import annotations

import contextlib
import select
import socket
import struct
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

SO_TIMESTAMPNS = 35
"""Ask for the kernel's receive time with each packet (socket(7); asm-generic/socket.h)."""

TIMESTAMP_SPACE = socket.CMSG_SPACE(struct.calcsize("@ll"))

TIMESTAMPS_DEADLINE_S = 0.2
"""How long the kernel may take to begin with receive times; it takes milliseconds."""

AncillaryData = Iterable[tuple[int, int, bytes]]


def enable_timestamps(sock: socket.socket) -> None:
    """From now on each received packet brings the time at which the kernel got it."""
    sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)


@contextmanager
def timestamps_taken() -> Iterator[None]:
    """Begins once the kernel takes receive times, and has it go on at least until it ends.

    It begins a moment after the first socket of the machine has asked (net_enable_timestamp in net/core/dev.c
    leaves that to a worker). What comes before bears the time at which it is read instead, and so stands
    behind what came later. Packets to ourselves tell; where they do not, this begins all the same.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        enable_timestamps(sock)
        sock.settimeout(TIMESTAMPS_DEADLINE_S)
        end = time.monotonic() + TIMESTAMPS_DEADLINE_S
        with contextlib.suppress(OSError):
            sock.bind(("127.0.0.1", 0))
            taken = False
            while not taken and time.monotonic() < end:
                sock.sendto(b"", sock.getsockname())
                sent_ns = time.time_ns()
                _, ancillary, _, _ = sock.recvmsg(1, TIMESTAMP_SPACE)
                taken = timestamp_ns(ancillary) <= sent_ns
        yield


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
