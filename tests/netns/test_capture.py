from __future__ import annotations

import functools
import io
import os
import shutil
import signal
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path
from typing import BinaryIO

import pytest
from labs import until

from edge.net.objects.base import Endpoint
from lab.capture import Frame, FrameSource
from lab.frames import summarize
from lab.places import Place, resolve_where
from lab.probe import ping
from lab.recording import CaptureSummary, interrupts, record
from tests.netns.labworld import World

pytestmark = pytest.mark.root

ADDRESSES = bytes.fromhex("ffffffffffff 020000000001")
UP = ("link set far up", "link set eth0 up")
ARP = bytes.fromhex("0806 0001 0800 0604 0001") + bytes(20)


def tagged(*tags: tuple[int, int]) -> bytes:
    """A frame under these (ethertype, VLAN id) tags."""
    return ADDRESSES + b"".join(struct.pack("!HH", *tag) for tag in tags) + ARP + bytes(20)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path)
    try:
        world.build()
        yield world
    finally:
        world.close()


class Recorder:
    """A capture in a thread; `stop` ends it and returns its summary."""

    def __init__(self, world: World, places: tuple[Place, ...], stream: io.BufferedIOBase, **limits) -> None:
        self.stop_fd = os.eventfd(0, os.EFD_CLOEXEC)
        self.ready = threading.Event()
        self.summary: CaptureSummary | None = None

        def run() -> None:
            self.summary = record(
                world, places, stream, stop_fds=(self.stop_fd,), on_ready=self.ready.set, **limits
            )

        self.thread = threading.Thread(target=run)
        self.thread.start()
        assert self.ready.wait(10)

    def join(self) -> CaptureSummary:
        self.thread.join(10)
        assert not self.thread.is_alive()
        assert self.summary is not None
        os.close(self.stop_fd)
        return self.summary

    def stop(self) -> CaptureSummary:
        os.eventfd_write(self.stop_fd, 1)
        return self.join()


def whole_frames(data: bytes) -> int:
    """How many frames are in a file that may end anywhere."""
    frames = 0
    while len(data) >= 8:
        kind, length = struct.unpack_from("=II", data)
        frames += kind == 6 and length <= len(data)
        data = data[length:]
    return frames


def send(world: World, namespace: str, device: str, *frames: bytes) -> None:
    with world.socket(namespace, socket.AF_PACKET, socket.SOCK_RAW, 0) as sock:
        sock.bind((device, 0))
        for frame in frames:
            sock.send(frame)


@pytest.mark.parametrize(
    "tags",
    [
        (),
        ((0x8100, 100),),
        ((0x8100, 3), (0x8100, 100)),
        ((0x88A8, 3), (0x8100, 100)),
        ((0x8100, (5 << 13) | 3), (0x8100, 100)),
    ],
)
@pytest.mark.parametrize("sender", ["pc1:eth0", "ce1:lan"])
def test_written_frames_are_those_of_the_wire(
    world: World, tmp_path: Path, tags: tuple[tuple[int, int], ...], sender: str
) -> None:
    from scapy.utils import PcapNgReader

    frame = tagged(*tags)
    file = tmp_path / "frames.pcapng"
    places = resolve_where(world.model, "pc1:eth0")
    with file.open("wb") as stream:
        recorder = Recorder(world, places, stream)
        namespace, _, device = sender.partition(":")
        send(world, namespace, device, frame)
        # The last frame says that all before it have been seen.
        ping(world, "pc1", ip_address("10.1.0.1"), count=1)
        summary = recorder.stop()
    with PcapNgReader(str(file)) as reader:
        packets = [bytes(packet) for packet in reader]
    assert frame in packets
    assert summary.frames == len(packets)
    assert summary.ended == "interrupted"
    assert summary.dropped == 0


def test_tshark_reads_tags_interfaces_and_directions(world: World, tmp_path: Path) -> None:
    if shutil.which("tshark") is None:
        pytest.skip("tshark is not installed (apt install tshark)")
    file = tmp_path / "frames.pcapng"
    places = (Place(Endpoint("pc1", "eth0"), "pc1 wire"), Place(Endpoint("ce1", "lan"), "the same wire"))
    with file.open("wb") as stream:
        recorder = Recorder(world, places, stream)
        send(world, "pc1", "eth0", tagged((0x8100, 3), (0x8100, 100)))
        ping(world, "pc1", ip_address("10.1.0.1"), count=1)
        recorder.stop()
    fields = (
        "vlan.id",
        "frame.interface_name",
        "frame.packet_flags_direction",
        "frame.interface_description",
    )
    arguments = [argument for field in fields for argument in ("-e", field)]
    done = subprocess.run(
        ["tshark", "-r", str(file), "-Y", "vlan", "-T", "fields", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
    )
    lines = (line.split("\t") for line in done.stdout.splitlines())
    rows = [(tags, name, int(direction, 0), text) for tags, name, direction, text in lines]
    assert sorted(rows) == [
        ("3,100", "ce1:lan", 1, "the same wire"),
        ("3,100", "pc1:eth0", 2, "pc1 wire"),
    ]


def test_snaplen_cuts_the_data_and_keeps_the_length(world: World) -> None:
    frame = tagged((0x8100, 3), (0x8100, 100))
    with FrameSource(world, resolve_where(world.model, "ce1:lan"), snaplen=20) as source:
        send(world, "pc1", "eth0", frame)
        # The kernel's own multicast reports pass here as well, whenever they like.
        frames = [item for item in source.read(source.fds()) if item.data[:12] == frame[:12]]
    assert [(item.data, item.length) for item in frames] == [(frame[:20], len(frame))]
    assert frames[0].direction == "inbound"


def test_the_first_frames_bear_the_time_at_which_they_passed_not_that_of_their_reading(world: World) -> None:
    # The kernel takes times only from a moment after somebody first asked.
    frames = [tagged((0x8100, number)) for number in range(1000)]
    with FrameSource(world, resolve_where(world.model, "pc1:eth0")) as source:
        send(world, "pc1", "eth0", *frames)
        sent_ns = time.time_ns()
        read: list[Frame] = []
        while part := source.read(source.fds()):
            read += part
    seen = [frame for frame in read if frame.data in frames]
    assert [frame.data for frame in seen] == frames
    assert max(frame.time_ns for frame in seen) <= sent_ns


def test_a_capture_ends_after_as_many_frames_as_were_asked_for(world: World) -> None:
    with (world.directory / "x").open("wb") as stream:
        recorder = Recorder(world, resolve_where(world.model, "pc1:eth0"), stream, count=2)
        send(world, "pc1", "eth0", tagged(), tagged(), tagged())
        summary = recorder.join()
    assert (summary.frames, summary.ended) == (2, "2 frames")


def test_a_capture_ends_when_the_time_is_over(world: World) -> None:
    with (world.directory / "x").open("wb") as stream:
        summary = record(world, resolve_where(world.model, "vm1:eth0"), stream, duration_s=0.05)
    assert summary.ended == "the time is over"


def test_a_capture_ends_when_the_reader_goes_away_even_without_frames(world: World) -> None:
    read_fd, write_fd = os.pipe()
    with os.fdopen(write_fd, "wb", buffering=0) as stream:
        recorder = Recorder(world, resolve_where(world.model, "vm1:eth0"), stream)
        os.close(read_fd)
        assert recorder.join().ended == "the reader closed the pipe"


def test_a_capture_ends_when_the_time_is_over_although_nobody_reads_and_counts_what_is_missing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lab.capturesink.PATIENCE_S", 0.05)
    read_fd, write_fd = os.pipe()
    places = resolve_where(world.model, "pc1:eth0")
    sent = 2000
    with os.fdopen(read_fd, "rb") as reader, os.fdopen(write_fd, "wb", buffering=0) as stream:

        def opened(_end: float | None) -> BinaryIO:
            send(world, "pc1", "eth0", *[tagged()] * sent)
            return stream

        summary = record(world, places, opened, duration_s=0.5)
        stream.close()
        there = whole_frames(reader.read())
    assert "the reader does not read" in summary.failed
    assert there == summary.frames > 0
    assert summary.frames + summary.unwritten + summary.dropped >= sent


def test_a_capture_ends_when_its_device_is_deleted_but_not_when_it_goes_down(world: World) -> None:
    with (world.directory / "x").open("wb") as stream:
        recorder = Recorder(world, resolve_where(world.model, "pc1:eth0"), stream)
        world.ip("pc1", "link set eth0 down", "link set eth0 up")
        send(world, "pc1", "eth0", tagged())
        world.ip("pc1", "link del eth0")
        summary = recorder.join()
    assert summary.ended == "the device is gone"
    assert summary.frames >= 1


def test_frames_that_wait_behind_the_news_that_a_link_went_down_are_read(world: World) -> None:
    # The kernel reports ENETDOWN before the frames that it queued earlier.
    with FrameSource(world, resolve_where(world.model, "pc1:eth0")) as source:
        send(world, "pc1", "eth0", tagged(), tagged())
        world.ip("pc1", "link set eth0 down")
        frames = [frame.data for frame in source.read(source.fds())]
    assert frames.count(tagged()) == 2


def test_what_a_deleted_device_had_waiting_is_written_and_its_losses_are_told(world: World) -> None:
    places = resolve_where(world.model, "pc1:eth0") + resolve_where(world.model, "vm1:eth0")
    with FrameSource(world, places) as source:
        for _, sock in source._sockets.values():
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 512 * 1024)
        send(world, "pc1", "eth0", *[tagged()] * 5000)
        world.ip("pc1", "link del eth0")
        frames = source.read(source.fds())
        source.count_drops()
        read = sum(frame.place == 0 for frame in frames)
        assert read > 256, "more than one turn of a socket that lives"
        assert source.dropped[0] > 0
        assert read == source.received[0]
        assert read + source.dropped[0] >= 5000
        assert source.alive, "the other device is there"
        assert source.vanished() == {"pc1:eth0": False}


def test_a_capture_says_which_device_vanished_and_listens_again_when_it_is_back(
    world: World, tmp_path: Path
) -> None:
    places = resolve_where(world.model, "pc1:eth0") + resolve_where(world.model, "vm1:eth0")
    file = tmp_path / "x"
    with file.open("wb") as stream:
        recorder = Recorder(world, places, stream)
        world.ip("pc1", "link del eth0", "link add eth0 type veth peer name far", *UP)
        frame = tagged((0x8100, 77))

        def arrives() -> bool:
            send(world, "pc1", "eth0", frame)
            return frame in file.read_bytes()

        until(arrives, "frames of the device that came back")
        world.ip("pc1", "link del eth0")
        summary = recorder.stop()
    assert summary.vanished == {"pc1:eth0": False}
    assert b"pc1:eth0 vanished 2 times" in file.read_bytes()


def test_an_interrupt_ends_a_capture_and_keeps_the_file_whole(world: World) -> None:
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    with (world.directory / "x").open("w+b") as stream, interrupts() as fd:
        places = resolve_where(world.model, "vm1:eth0")
        interrupt = functools.partial(signal.raise_signal, signal.SIGINT)
        summary = record(world, places, stream, stop_fds=(fd,), on_ready=interrupt)
        stream.seek(0)
        written = stream.read()
    assert summary.ended == "interrupted"
    (length,) = struct.unpack("=I", written[-4:])
    assert struct.unpack_from("=II", written, len(written) - length) == (5, length), "statistics come last"
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


def test_frames_lost_for_lack_of_room_are_counted(world: World) -> None:
    with FrameSource(world, resolve_where(world.model, "ce1:lan")) as source:
        for _, sock in source._sockets.values():
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        send(world, "pc1", "eth0", *[tagged()] * 200)
        read = 0
        while frames := source.read(source.fds()):
            read += len(frames)
        source.count_drops()
        assert read + source.dropped[0] >= 200
        assert source.dropped[0] > 0


def test_a_device_that_does_not_exist_is_named(world: World) -> None:
    with pytest.raises(OSError, match="cannot listen on pc1:eth9"):
        FrameSource(world, (Place(Endpoint("pc1", "eth9"), ""),))


def test_protocols_of_real_traffic_are_recognised(world: World) -> None:
    with FrameSource(world, resolve_where(world.model, "pc1:eth0")) as source:
        ping(world, "pc1", ip_address("10.1.0.1"), count=1)
        ping(world, "pc1", ip_address("fd00:1::1"), count=1)
        seen = {str(summarize(frame.data)) for frame in source.read(source.fds())}
    assert {"untagged arp", "untagged icmp", "untagged icmp6"} <= seen
