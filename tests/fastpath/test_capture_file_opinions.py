"""Others read our captures: tshark, editcap and scapy see the marks, good checksums, nothing else changed."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests import oracle
from tests.fastpath import captures
from tests.fastpath.captures import ethernet
from tests.fastpath.test_capture_file import PACKETS, TAGGED, TEAMS, mark

FRAMES = [ethernet(packet, *tags) for packet in PACKETS for tags in TAGGED[:4]]
FIELDS = ("ip.dsfield.dscp", "ipv6.tclass.dscp", "ip.dsfield.ecn", "ipv6.tclass.ecn", "ip.checksum.status")
GOOD = "1"
"""tshark's word for a checksum that is right."""


def wanted(frame: bytes) -> int:
    """The DSCP that the oracle says."""
    return oracle.verdict(frame, TEAMS, "out", "mark")[0].dscp


def need(program: str) -> str:
    found = shutil.which(program)
    if found is None:
        pytest.skip(f"no {program}: apt-get install tshark")
    return found


def fields(capture: bytes, *names: str) -> list[list[str]]:
    """What tshark says of each packet, by field."""
    options = [word for name in names for word in ("-e", name)]
    done = subprocess.run(
        [need("tshark"), "-r", "-", "-n", "-o", "ip.check_checksum:TRUE", "-T", "fields", *options],
        input=capture,
        capture_output=True,
    )
    assert done.returncode == 0, done.stderr.decode()
    return [line.split("\t") for line in done.stdout.decode().splitlines()]


@pytest.mark.parametrize("order", ["<", ">"])
def test_tshark_sees_the_marks_the_same_ecn_and_good_checksums(order: str) -> None:
    before = captures.pcap(FRAMES, order=order)
    after, _ = mark(before)
    for frame, was, now in zip(FRAMES, fields(before, *FIELDS), fields(after, *FIELDS), strict=True):
        four, six, *ecn, status = now
        assert four + six == str(wanted(frame))
        assert ecn == was[2:4]
        assert status in ("", GOOD)


def test_tshark_sees_the_same_packets_but_for_what_was_marked() -> None:
    ng = captures.Ng()
    before = ng.section() + ng.interface() + ng.others()
    before += b"".join(ng.enhanced(frame) for frame in FRAMES)
    after, _ = mark(before)
    rest = (
        "frame.time_epoch",
        "frame.len",
        "frame.comment",
        "vlan.id",
        "ip.src",
        "ip.id",
        "udp.srcport",
        "data",
    )
    assert fields(after, *rest) == fields(before, *rest)
    # tshark lists custom blocks among the packets.
    seen = [a + b for a, b in fields(after, *FIELDS[:2]) if a + b]
    assert seen == [str(wanted(frame)) for frame in FRAMES]


@pytest.mark.parametrize("kind", ["pcap", "nsecpcap", "pcapng"])
def test_what_editcap_writes_is_marked_and_editcap_reads_what_we_write(kind: str, tmp_path: Path) -> None:
    source, again = tmp_path / "in", tmp_path / "again"
    source.write_bytes(captures.pcap(FRAMES))
    subprocess.run([need("editcap"), "-F", kind, str(source), str(again)], check=True)
    after, counts = mark(again.read_bytes())
    assert counts.total.packets == len(FRAMES)
    (tmp_path / "out").write_bytes(after)
    subprocess.run([need("editcap"), "-F", "pcap", str(tmp_path / "out"), str(source)], check=True)
    assert source.read_bytes() == captures.pcap([oracle.verdict(f, TEAMS, "out", "mark")[1] for f in FRAMES])


def test_the_way_out_of_a_cut_file_works(tmp_path: Path) -> None:
    source, whole = tmp_path / "in", tmp_path / "whole"
    source.write_bytes(captures.pcap(FRAMES)[:-3])
    subprocess.run([need("editcap"), str(source), str(whole)], capture_output=True)
    assert mark(whole.read_bytes())[1].total.packets == len(FRAMES) - 1


def test_scapy_reads_the_marks_and_agrees_with_the_checksums(tmp_path: Path) -> None:
    from scapy.layers.inet import IP
    from scapy.layers.inet6 import IPv6
    from scapy.utils import rdpcap

    path = tmp_path / "out.pcap"
    path.write_bytes(mark(captures.pcap(FRAMES))[0])
    for frame, packet in zip(FRAMES, rdpcap(str(path)), strict=True):
        if IP in packet:
            assert packet[IP].tos >> 2 == wanted(frame)
            said = packet[IP].chksum
            del packet[IP].chksum
            assert IP(bytes(packet[IP])).chksum == said
        elif IPv6 in packet:
            assert packet[IPv6].tc >> 2 == wanted(frame)
        else:
            # scapy does not know this ethertype as a tag's.
            assert packet.type == 0x9100


def test_a_capture_that_scapy_wrote_is_marked(tmp_path: Path) -> None:
    from scapy.layers.inet import IP, UDP
    from scapy.layers.l2 import Dot1AD, Dot1Q, Ether
    from scapy.utils import PcapNgWriter, wrpcap

    packets = [
        Ether()
        / Dot1AD(vlan=3)
        / Dot1Q(vlan=100)
        / IP(dst="52.112.0.1")
        / UDP(sport=50005, dport=3479)
        / "voice",
        Ether() / IP(dst="52.112.0.1", tos=1) / UDP(sport=50025, dport=1) / "video",
    ]
    wrpcap(str(tmp_path / "a.pcap"), packets)
    with PcapNgWriter(str(tmp_path / "a.pcapng")) as writer:
        writer.write(packets)
    for name in ("a.pcap", "a.pcapng"):
        before = (tmp_path / name).read_bytes()
        after, counts = mark(before)
        assert counts.total.changed == 2
        assert len(after) == len(before)
        assert sum(a != b for a, b in zip(before, after, strict=True)) <= 6


def test_the_frames_here_reach_every_class() -> None:
    assert {wanted(frame) for frame in FRAMES} >= {0, 18, 34, 46}
