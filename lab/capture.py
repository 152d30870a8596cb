"""Every frame that passes a place, tags included, as it comes; lab.recording writes them down.

Packet sockets hand over the outer VLAN tag beside the frame (PACKET_AUXDATA), because the kernel takes
it out on the way in; it is put back here, so that the written bytes are those of the wire. Both
directions are seen: outgoing frames after the tag plane, incoming ones before it.
"""

from __future__ import annotations

import errno
import socket
import struct
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from edge.fastpath.frames import AUXDATA_OCTETS, PACKET_AUXDATA, SOL_PACKET, parse_auxdata, restore_tag
from lab import pcapng
from lab.access import LabAccess
from lab.places import Place
from lab.sockets import TIMESTAMP_SPACE, enable_timestamps, timestamp_ns, timestamps_taken

ETH_P_ALL = 0x0003
PACKET_STATISTICS = 6
PACKET_OUTGOING = 4
SO_RCVBUFFORCE = 33
RTMGRP_LINK = 1

MAX_SNAPLEN = 262144
RECEIVE_BUFFER_OCTETS = 8 * 1024 * 1024
_BATCH = 256
"""Frames taken from one socket before the others get their turn."""


@dataclass(frozen=True, slots=True)
class Frame:
    """A frame as it was on the wire.

    place: index of the place it was seen at. length: octets on the wire; data may be cut to the snap
    length. partial_checksum: the sender left checksums to a network card that does not exist.
    """

    place: int
    time_ns: int
    data: bytes
    length: int
    direction: pcapng.Direction
    partial_checksum: bool = False


class FrameSource:
    """Open packet sockets on places; `read` gives what passed them.

    received, dropped, partial: frames of each place; see `count_drops` and Frame. absences: how often the
    device of each place was deleted. behind_ns: where the last read left frames behind, for there were very
    many, it got to a frame of this time; None where it left none. Of several such places, the earliest.
    """

    def __init__(self, access: LabAccess, places: Sequence[Place], snaplen: int = MAX_SNAPLEN) -> None:
        """Raises EdgeError when a namespace cannot be entered, OSError when a device does not exist."""
        self.places = tuple(places)
        self.snaplen = snaplen
        self.received = [0] * len(places)
        self.dropped = [0] * len(places)
        self.partial = [0] * len(places)
        self.absences = [0] * len(places)
        self.behind_ns: int | None = None
        self.started_ns = time.time_ns()
        self._stack = ExitStack()
        self._sockets: dict[int, tuple[int, socket.socket]] = {}
        self._deserted: dict[int, tuple[int, socket.socket]] = {}
        self._watches: dict[int, socket.socket] = {}
        with ExitStack() as undo, timestamps_taken():
            for namespace in dict.fromkeys(place.at.namespace for place in self.places):
                watch = undo.enter_context(_watch_links(access, namespace))
                self._watches[watch.fileno()] = watch
            for number, place in enumerate(self.places):
                sock = undo.enter_context(_open(access, place))
                self._sockets[sock.fileno()] = (number, sock)
            self._stack = undo.pop_all()

    def __enter__(self) -> FrameSource:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def alive(self) -> bool:
        """Whether any of the devices still exists."""
        return bool(self._sockets)

    def fds(self) -> list[int]:
        """Descriptors to poll for input."""
        return [*self._sockets, *self._watches]

    def read(self, ready: Sequence[int]) -> list[Frame]:
        """The frames that wait in the sockets `ready`, in the order of their times.

        Of each socket so many at most, see behind_ns; the order holds within this read (lab.captureorder).
        """
        frames: list[Frame] = []
        self.behind_ns = None
        for fd in ready:
            if fd in self._sockets:
                taken, all_of_it = self._drain(*self._sockets[fd])
                frames += taken
                if not all_of_it:
                    last_ns = taken[-1].time_ns
                    self.behind_ns = last_ns if self.behind_ns is None else min(self.behind_ns, last_ns)
            elif fd in self._watches:
                frames.extend(self._links_changed(self._watches[fd]))
        frames.sort(key=lambda frame: frame.time_ns)
        return frames

    def _links_changed(self, watch: socket.socket) -> list[Frame]:
        """Leave devices that exist no more, return to those that exist again; what waited of the former.

        A packet socket by itself tells that its device went down, but not that it was deleted then. It can be
        bound again, so that nobody need be asked for a new one, which another thread could not do.
        """
        drained = False
        while not drained:
            try:
                watch.recv(65535)
            except BlockingIOError:
                drained = True
            except OSError as error:
                # Messages were lost for lack of room; what we do next does not depend on them.
                if error.errno != errno.ENOBUFS:
                    raise
        frames: list[Frame] = []
        for fd, (number, sock) in list(self._sockets.items()):
            if sock.getsockname()[0]:
                continue
            # Nothing is added to it any more, so this ends.
            all_of_it = False
            while not all_of_it:
                taken, all_of_it = self._drain(number, sock)
                frames += taken
            # In this order: another thread may ask for `vanished` meanwhile.
            self._deserted[fd] = (number, sock)
            del self._sockets[fd]
            self.absences[number] += 1
        for fd, (number, sock) in list(self._deserted.items()):
            if _bound(sock, self.places[number]):
                self._sockets[fd] = self._deserted.pop(fd)
        return frames

    def _drain(self, number: int, sock: socket.socket) -> tuple[list[Frame], bool]:
        """Frames that wait there, and whether these were all."""
        frames: list[Frame] = []
        space = socket.CMSG_SPACE(AUXDATA_OCTETS) + TIMESTAMP_SPACE
        while len(frames) < _BATCH:
            try:
                data, ancillary, _, address = sock.recvmsg(self.snaplen, space)
            except BlockingIOError:
                return frames, True
            except OSError as error:
                if error.errno != errno.ENETDOWN:
                    raise
                # The link went down and may come back. It is told once, and before the frames that wait.
                continue
            frames.append(self._frame(number, data, ancillary, address[2]))
        return frames, False

    def _frame(
        self, number: int, data: bytes, ancillary: list[tuple[int, int, bytes]], packet_type: int
    ) -> Frame:
        aux = None
        for level, kind, value in ancillary:
            if level == SOL_PACKET and kind == PACKET_AUXDATA:
                aux = parse_auxdata(value)
        whole = restore_tag(data, aux.tag) if aux else data
        length = aux.length if aux else len(data)
        partial = aux is not None and aux.partial_checksum
        self.received[number] += 1
        self.partial[number] += partial
        return Frame(
            place=number,
            time_ns=timestamp_ns(ancillary),
            data=whole[: self.snaplen],
            length=length + len(whole) - len(data),
            direction="outbound" if packet_type == PACKET_OUTGOING else "inbound",
            partial_checksum=partial,
        )

    def count_drops(self) -> None:
        """Add what the kernel dropped since the last call to `dropped`."""
        for number, sock in (*self._sockets.values(), *self._deserted.values()):
            _, drops = struct.unpack("=II", sock.getsockopt(SOL_PACKET, PACKET_STATISTICS, 8))
            self.dropped[number] += drops

    def drops_by_place(self) -> dict[str, int]:
        """Device -> frames dropped there; only where there were any."""
        return {str(place.at): drops for place, drops in zip(self.places, self.dropped, strict=True) if drops}

    def vanished(self) -> dict[str, bool]:
        """Devices that were deleted meanwhile -> whether each is back."""
        gone = {number for number, _ in list(self._deserted.values())}
        return {
            str(place.at): number not in gone
            for number, place in enumerate(self.places)
            if self.absences[number]
        }


def _watch_links(access: LabAccess, namespace: str) -> socket.socket:
    """A non-blocking socket that gets a message whenever a link of the namespace changes."""
    sock = access.socket(namespace, socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
    try:
        sock.setblocking(False)
        sock.bind((0, RTMGRP_LINK))
    except OSError:
        sock.close()
        raise
    return sock


def _open(access: LabAccess, place: Place) -> socket.socket:
    # Protocol 0: nothing arrives before the socket is bound to its device.
    sock = access.socket(place.at.namespace, socket.AF_PACKET, socket.SOCK_RAW, 0)
    try:
        sock.setblocking(False)
        enable_timestamps(sock)
        sock.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
        _make_room(sock)
        sock.bind((place.at.device, ETH_P_ALL))
    except OSError as error:
        sock.close()
        raise OSError(error.errno, f"cannot listen on {place.at}: {error.strerror}") from error
    return sock


def _bound(sock: socket.socket, place: Place) -> bool:
    """Bind it to its device; whether there is one."""
    try:
        sock.bind((place.at.device, ETH_P_ALL))
    except OSError as error:
        if error.errno not in (errno.ENODEV, errno.ENXIO):
            raise
        return False
    return True


def _make_room(sock: socket.socket) -> None:
    """As much room as we ask for where we may, else as much as the machine gives everybody (rmem_max)."""
    try:
        sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, RECEIVE_BUFFER_OCTETS)
    except PermissionError:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_OCTETS)
