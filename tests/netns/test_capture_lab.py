"""`edgelab capture` at the reference lab: many places in one file, verdicts, classes, rings, pipes."""

from __future__ import annotations

import os
import re
import select
import signal
import struct
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from galleryframes import assert_reads_well, restart_a_session, wait_for
from labs import CONTOSO, Labs, until
from recorded import capturing, needs_tshark, tshark

from lab.captureplaces import resolve_all
from lab.client import Client
from lab.ringcapture import RingCapture
from lab.state import RunDirectory
from lab.topology import load
from lab.watching import record_while

pytestmark = [pytest.mark.root, needs_tshark]

SPEAK = """
import socket, sys
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sock.bind(("10.1.0.10", int(sys.argv[1])))
for number in range(int(sys.argv[3])):
    sock.sendto(b"x" * 100, ("52.112.0.10", int(sys.argv[2])))
"""
VM, PC = "10.50.1.4", "10.1.0.10"
VOICE = ("50005", "3479")
OTHER = ("20001", "20002")


@pytest.fixture(scope="module")
def lab(module_labs: Labs) -> Labs:
    module_labs.ok("deploy", "-t", str(CONTOSO))
    return module_labs


@pytest.fixture
def client(lab: Labs) -> Iterator[Client]:
    with Client(RunDirectory(lab.directory / "contoso")) as opened:
        yield opened


def speak(lab: Labs, ports: tuple[str, str], packets: int = 3) -> None:
    """pc1 sends UDP towards Teams, from one port to another."""
    lab.inside("contoso", "pc1", "python3", "-c", SPEAK, *ports, str(packets))


def blocks(path: Path) -> list[int]:
    """The kinds of the blocks of a file; it must end with one."""
    data, found = path.read_bytes(), []
    while data:
        kind, length = struct.unpack_from("=II", data)
        assert struct.unpack_from("=I", data, length - 4) == (length,)
        found.append(kind)
        data = data[length:]
    return found


def test_the_whole_lab_reads_well_in_tshark(lab: Labs) -> None:
    model = load(CONTOSO)
    with capturing(lab, "contoso", "all", "--verdict") as capture:
        restarted = restart_a_session(lab, model)
        lab.ok("check")
        wait_for(lab, model, restarted, capture.path)
    assert_reads_well(model, capture.path, restarted)


@pytest.mark.parametrize("ring", [(), ("--ring", "100M")])
def test_frames_of_many_links_are_in_the_order_of_their_times(
    lab: Labs, ring: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    # A busy machine hands frames over later than one that people sit at.
    monkeypatch.setitem(lab.constants, "lab.captureorder.HOLD_S", 0.5)
    with capturing(lab, "contoso", "all", *ring) as capture:
        # Each echo passes six links, one right after the other, and more are on their way at the same time.
        for node, address in (("pc1", VM), ("vm1", PC)):
            lab.inside("contoso", node, "ping", "-q", "-f", "-l", "20", "-c", "1000", address)
    frames = list(times(capture.path))
    passed = Counter(place for place, _ in frames)
    assert sum(count >= 2000 for count in passed.values()) >= 4, passed
    stamps = [time_ns for _, time_ns in frames]
    assert stamps == sorted(stamps)
    assert f"{len(frames)} frames (interrupted)" in capture.said, "none was lost"


def times(path: Path) -> Iterator[tuple[int, int]]:
    """Of each frame of a file, in its order: which place, and nanoseconds since 1970."""
    data, at = path.read_bytes(), 0
    while at < len(data):
        kind, length = struct.unpack_from("=II", data, at)
        if kind == 6:
            place, high, low = struct.unpack_from("=III", data, at + 8)
            yield place, high << 32 | low
        at += length


def test_a_mark_is_seen_to_change_at_the_edge_with_the_verdict_beside_it(lab: Labs) -> None:
    with capturing(lab, "pc1", "ams", "--verdict", "--filter", "udp port 3479") as capture:
        speak(lab, VOICE)
    rows = tshark(
        capture.path,
        *("frame.interface_description", "vlan.id", "ip.dsfield.dscp", "frame.packet_flags_direction"),
        "frame.comment",
        only="udp",
    )
    seen = {row[:3] for row in rows}
    assert ("pc1", "", "0") in seen
    assert len(rows) == 6
    assert {row[1:3] for row in rows if row[0] != "pc1"} == {("3,200", "46")}
    assert {int(row[3], 0) for row in rows} == {2}, "all of it is outbound"
    verdicts = {(row[0] == "pc1", row[4]) for row in rows}
    assert verdicts == {
        (
            True,
            "class voice, queue 0, by rule 4 teams-audio of teams; microsoft peering, towards Microsoft; "
            "DSCP CS0 (0) -> EF (46); the MSEE accepts EF (46)",
        ),
        (
            False,
            "class voice, queue 0, by rule 4 teams-audio of teams; microsoft peering, towards Microsoft; "
            "DSCP EF (46); the MSEE accepts EF (46)",
        ),
    }


def test_a_class_is_captured_on_all_circuits_and_nothing_else_is(lab: Labs) -> None:
    with capturing(lab, "voice") as capture:
        speak(lab, VOICE, packets=2)
        speak(lab, OTHER, packets=2)
        speak(lab, VOICE, packets=2)
    rows = tshark(capture.path, "udp.dstport", "ip.dsfield.dscp")
    assert rows == [("3479", "46")] * 4
    assert "4 frames" in capture.said


def test_tags_and_filter_narrow_together(lab: Labs) -> None:
    with capturing(lab, "ams", "--tags", "3/100", "--filter", "udp port 3784", "-c", "3") as capture:
        until(lambda: blocks(capture.path).count(6) == 3, "three frames of BFD")
    rows = tshark(capture.path, "vlan.id", "udp.dstport", "bfd.sta")
    assert [row[:2] for row in rows] == [("3,100", "3784")] * 3
    assert "3 frames (3 frames)" in capture.said


def test_places_are_described_in_the_file(lab: Labs) -> None:
    with capturing(lab, "pc1", "ams-primary") as capture:
        pass
    shown = subprocess.run(
        ["capinfos", str(capture.path)], capture_output=True, text=True, check=True, timeout=60
    ).stdout
    assert "Name = pc1:eth0" in shown
    assert "Description = ams-primary" in shown
    assert "tags 3/200 are ams/microsoft primary; outbound is towards Microsoft" in shown
    assert shown.count("Number of stat entries = 1") == 2


def test_a_pipe_gets_frames_while_the_capture_goes_on(lab: Labs) -> None:
    reading, writing = os.pipe()
    process = lab.fork("capture", "pc1", stdout=writing, stderr=subprocess.DEVNULL)
    os.close(writing)
    try:
        octets = b""
        while len(octets) < 28 or struct.unpack_from("=I", octets)[0] != 0x0A0D0D0A:
            assert select.select([reading], [], [], 30)[0], "nothing comes"
            octets += os.read(reading, 65536)
        speak(lab, OTHER, packets=1)
        while b"x" * 100 not in octets:
            assert select.select([reading], [], [], 30)[0], "the frame does not come"
            octets += os.read(reading, 65536)
        assert process.poll() is None
    finally:
        os.close(reading)
        speak(lab, OTHER, packets=1)
    assert process.wait(30) == 0


@pytest.mark.parametrize("reader", [False, True])
def test_a_named_pipe_waits_for_its_reader_and_an_interrupt_ends_that(
    lab: Labs, tmp_path: Path, reader: bool
) -> None:
    pipe, written = tmp_path / "pipe", tmp_path / "x.pcapng"
    os.mkfifo(pipe)
    process = lab.fork("capture", "pc1", "--filter", "udp", "-w", str(pipe), stderr=subprocess.PIPE)
    assert process.stderr is not None
    with process.stderr as stderr:
        assert stderr.readline() == f"nobody reads {pipe} yet; waiting for a reader; Ctrl-C ends\n"
        if not reader:
            os.kill(process.pid, signal.SIGINT)
            status, said = process.wait(30), stderr.read()
            assert (status, "nobody read it until it was interrupted" in said) == (4, True), said
            return
        # What passes meanwhile waits for the reader as well.
        speak(lab, OTHER)
        with written.open("wb") as into, subprocess.Popen(["cat", str(pipe)], stdout=into) as cat:
            assert stderr.readline().startswith("capturing on pc1:eth0")
            os.kill(process.pid, signal.SIGINT)
            assert process.wait(30) == 0
            assert cat.wait(30) == 0
        assert stderr.read() == "3 frames (interrupted)\n"
    assert blocks(written)[-1] == 5
    assert written.read_bytes().count(b"x" * 100) == 3


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_in_the_midst_of_traffic_leaves_a_whole_file(
    lab: Labs, tmp_path: Path, number: signal.Signals
) -> None:
    path = tmp_path / "x.pcapng"
    process = lab.fork("capture", "all", "--verdict", "-w", str(path), stderr=subprocess.DEVNULL)
    until(lambda: path.exists() and 6 in blocks_so_far(path), "frames are written")
    os.kill(process.pid, number)
    os.kill(process.pid, number)
    assert process.wait(30) == 0
    kinds = blocks(path)
    links = len(load(CONTOSO).links)
    assert kinds[: 1 + links] == [0x0A0D0D0A, *[1] * links]
    assert kinds[-links:] == [5] * links
    assert set(kinds[1 + links : -links]) == {6}


def blocks_so_far(path: Path) -> set[int]:
    """The kinds of the blocks that a file has while somebody writes it."""
    data, found = path.read_bytes(), set()
    while len(data) >= 8:
        kind, length = struct.unpack_from("=II", data)
        found.add(kind)
        data = data[length:]
    return found


def test_a_ring_writes_the_last_frames_when_it_is_stopped(lab: Labs) -> None:
    with capturing(lab, "pc1", "--ring", "2000", "--filter", "udp") as capture:
        speak(lab, OTHER, packets=50)
        speak(lab, VOICE, packets=5)
        # Nothing has been written yet: it is the last that counts.
        assert capture.path.stat().st_size == 0
    ports = [row[0] for row in tshark(capture.path, "udp.dstport")]
    assert 5 < len(ports) < 20
    assert ports[-5:] == ["3479"] * 5
    assert set(ports[:-5]) == {"20002"}
    assert f"{len(ports)} frames, {55 - len(ports)} older ones let go" in capture.said


def test_a_ring_that_programs_keep_is_written_again_and_again(
    lab: Labs, client: Client, tmp_path: Path
) -> None:
    wanted = resolve_all(client.model, ("pc1",))
    with RingCapture(client, wanted, octets=100_000, verdict=True, expression="udp") as ring:
        speak(lab, VOICE, packets=2)
        first = ring.write(tmp_path / "first.pcapng")
        speak(lab, OTHER, packets=3)
        second = ring.write(tmp_path / "second.pcapng")
    assert (first.frames, second.frames, second.dropped) == (2, 5, 0)
    rows = tshark(tmp_path / "second.pcapng", "udp.dstport", "frame.comment")
    assert [port for port, _ in rows] == ["3479"] * 2 + ["20002"] * 3
    assert all(comment.startswith("class ") for _, comment in rows)


@pytest.mark.parametrize("ring", [(), ("--ring", "1M")])
def test_a_full_disk_is_told_and_the_file_is_whole(lab: Labs, tmp_path: Path, ring: tuple[str, ...]) -> None:
    room = tmp_path / "room"
    room.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(room)], check=True)
    try:
        path = room / "x.pcapng"
        process = lab.fork("capture", "pc1", "-w", str(path), *ring, stderr=subprocess.PIPE)
        assert process.stderr is not None
        process.stderr.readline()
        speak(lab, OTHER, packets=1000)
        if ring:
            os.kill(process.pid, signal.SIGINT)
        assert process.wait(30) == 4
        said = process.communicate(30)[1]
        kinds = blocks(path)
    finally:
        subprocess.run(["umount", str(room)], check=True)
    assert "No space left on device; what was captured until then is there" in said
    assert kinds[0] == 0x0A0D0D0A
    assert len(kinds) > 100
    assert re.findall("^([0-9]+) frames", said, re.MULTILINE) == [str(kinds.count(6))]


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        (("nowhere",), 2, "no link, node, device or class 'nowhere'"),
        (("pc1/voise",), 2, "did you mean voice?"),
        (("pc1", "--filter", "udp prt"), 2, "it is written as for tcpdump"),
        (("pc1", "--tags", "x"), 2, "outermost first"),
        (("pc1", "--ring", "5q"), 2, "write octets such as 16M"),
        (("pc1", "-w", "/proc/x/y"), 4, "No such file or directory"),
    ],
)
def test_what_cannot_be_captured_is_said(
    lab: Labs, tmp_path: Path, words: tuple[str, ...], status: int, message: str
) -> None:
    where = () if "-w" in words else ("-w", str(tmp_path / "x"))
    done = lab.run("capture", *words, *where)
    assert (done.returncode, message in done.stderr) == (status, True), done.stderr
    assert not (tmp_path / "x").exists()


def test_a_capture_that_cannot_listen_leaves_the_file_that_was_there(
    lab: Labs, client: Client, tmp_path: Path
) -> None:
    # The last test of this module: the device loses its addresses.
    path = tmp_path / "x.pcapng"
    path.write_bytes(b"an earlier capture")
    lab.inside("contoso", "vm1", "ip", "link", "set", "eth0", "down")
    lab.inside("contoso", "vm1", "ip", "link", "set", "eth0", "name", "away")
    done = lab.run("capture", "pc1", "vm1:eth0", "-w", str(path), "--for", "1")
    assert (done.returncode, "cannot listen on vm1:eth0" in done.stderr) == (4, True), done.stderr
    with pytest.raises(OSError, match="cannot listen on vm1:eth0"), record_while(client, "vm1:eth0", path):
        pass
    assert path.read_bytes() == b"an earlier capture"
