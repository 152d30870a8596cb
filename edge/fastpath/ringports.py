"""Devices as the ring engine gets them: packet sockets, opened inside their namespaces."""

from __future__ import annotations

import errno
import os
import socket
import struct
from dataclasses import dataclass

from edge.net.namespaces import inside
from edge.net.objects.base import Endpoint

ETH_P_ALL = 0x0003
SOL_PACKET = 263
PACKET_STATISTICS, PACKET_AUXDATA, PACKET_VNET_HDR, PACKET_IGNORE_OUTGOING = 6, 8, 15, 23

SO_SNDBUFFORCE, SO_RCVBUFFORCE = 32, 33

SOCKET_BUFFER_OCTETS = 8 << 20
"""What we ask for. The kernel gives an ordinary user no more than net.core.rmem_max, often 208 KiB: a few
large GSO frames, or some hundred small ones, may wait while the engine is not scheduled."""


def open_port(ifindex: int, netns_fd: int) -> socket.socket:
    """A packet socket on a device of a namespace, as the engine needs it. Raises OSError."""
    with inside(netns_fd):
        try:
            name = socket.if_indextoname(ifindex)
        except OSError as error:
            raise OSError(errno.ENODEV, os.strerror(errno.ENODEV)) from error
        # Protocol 0: nothing arrives before the socket is bound to its device.
        opened = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_CLOEXEC, 0)
    try:
        for option in (PACKET_VNET_HDR, PACKET_AUXDATA, PACKET_IGNORE_OUTGOING):
            opened.setsockopt(SOL_PACKET, option, 1)
        _enlarge(opened)
        opened.bind((name, ETH_P_ALL))
    except BaseException:
        opened.close()
        raise
    return opened


def _enlarge(opened: socket.socket) -> None:
    for forced, granted in ((SO_RCVBUFFORCE, socket.SO_RCVBUF), (SO_SNDBUFFORCE, socket.SO_SNDBUF)):
        try:
            opened.setsockopt(socket.SOL_SOCKET, forced, SOCKET_BUFFER_OCTETS)
        except PermissionError:
            opened.setsockopt(socket.SOL_SOCKET, granted, SOCKET_BUFFER_OCTETS)


@dataclass(slots=True)
class Port:
    """A device that the engine reads; `users` rules share it. The engine has its own copy of the socket."""

    number: int
    endpoint: Endpoint
    sock: socket.socket
    users: int = 0
    lost: int = 0

    def alive(self) -> bool:
        """Whether the device still exists: a socket whose device is gone is bound to none."""
        return bool(self.sock.getsockname()[0])

    def close(self) -> None:
        """Close our copy."""
        self.sock.close()

    def missed(self) -> int:
        """Frames so far that the kernel had no room for before the engine came to read them."""
        _, drops = struct.unpack("=II", self.sock.getsockopt(SOL_PACKET, PACKET_STATISTICS, 8))
        self.lost += drops
        return self.lost
