from __future__ import annotations

import ctypes.util
from pathlib import Path

import pytest

from edge.errors import UsageError
from lab.captureplaces import classes_of, resolve_all
from lab.commands.capture import _told, parse_ring
from lab.framefilter import compile_filter, parse_tags_word, untagged, vids_of, with_tags
from lab.model import LabModel
from lab.recording import CaptureSummary
from lab.topology import load
from lab.vantage import destinations, vantage

needs_libpcap = pytest.mark.skipif(
    ctypes.util.find_library("pcap") is None, reason="libpcap is not installed (apt install libpcap0.8)"
)
CONTOSO = Path(__file__).parents[2] / "lab" / "topologies" / "contoso.edge.yml"

MAC = bytes.fromhex("020000000002 020000000001")
ARP = MAC + bytes.fromhex("0806") + bytes(28)
BGP = MAC + bytes.fromhex(
    "0800 45c00028 0001 4000 01 06 0000 c0a80f01 c0a80f02 00b3 c001 00000001 00000001 5010 0400 0000 0000"
)


@pytest.fixture(scope="module")
def model() -> LabModel:
    return load(CONTOSO)


def under(frame: bytes, *vids: int, tpid: int = 0x8100) -> bytes:
    tags = b"".join(tpid.to_bytes(2, "big") + vid.to_bytes(2, "big") for vid in vids)
    return frame[:12] + tags + frame[12:]


def at(model: LabModel, *words: str) -> list[tuple[str, str]]:
    return [(str(item.place.at), item.class_name) for item in resolve_all(model, words)]


def test_several_places_are_taken_together_and_each_once(model: LabModel) -> None:
    assert at(model, "ams-primary", "pc1", "ce1:ams1", "ams") == [
        ("ce1:ams1", ""),
        ("pc1:eth0", ""),
        ("ce2:ams2", ""),
    ]


def test_all_is_every_link_once(model: LabModel) -> None:
    assert len(at(model, "all")) == len(model.links)


def test_a_class_alone_is_on_the_customers_wires(model: LabModel) -> None:
    assert at(model, "voice") == [("ce1:ams1", "voice"), ("ce2:ams2", "voice")]
    assert {"voice", "video", "sharing", "control", "default"} <= set(classes_of(model))


def test_a_class_narrows_a_place_unless_all_of_it_is_asked_for(model: LabModel) -> None:
    assert at(model, "pc1/voice") == [("pc1:eth0", "voice")]
    assert at(model, "ams-primary/voice", "ams-primary") == [("ce1:ams1", "")]


@pytest.mark.parametrize(
    ("word", "words"),
    [
        ("voic", "no link, node, device or class 'voic'; did you mean voice?"),
        ("pc1/voise", "pc1 has no class 'voise'; did you mean voice?"),
        ("vm1/voice", "vm1 has no class 'voice'; no policy judges frames there"),
        ("ce1:nope", "ce1 has no device nope"),
    ],
)
def test_a_word_that_means_nothing_is_answered_with_the_nearest(
    model: LabModel, word: str, words: str
) -> None:
    with pytest.raises(UsageError) as error:
        resolve_all(model, (word,))
    assert words in str(error.value)


@pytest.mark.parametrize(
    ("where", "outward"),
    [
        ("ce1:ams1", "outbound"),
        ("equinix-amsterdam:ams1", "inbound"),
        ("msee1-amsterdam:equinix", "inbound"),
        ("equinix-amsterdam:msee1", "outbound"),
        ("ce1:ams1.200", "outbound"),
        ("msee1-amsterdam.ams.microsoft:ams.200", "inbound"),
        ("pc1:eth0", "outbound"),
        ("hq-lan:pc1", "inbound"),
        ("ce1:lan", "inbound"),
        ("vm1:eth0", "unknown"),
        ("hq-inet:lan", "unknown"),
    ],
)
def test_which_way_microsoft_lies_is_known_where_it_means_something(
    model: LabModel, where: str, outward: str
) -> None:
    (item,) = resolve_all(model, (where,))
    assert vantage(model, item.place).outward == outward


def test_a_place_is_described_by_link_side_and_peerings(model: LabModel) -> None:
    (item,) = resolve_all(model, ("ams-primary",))
    assert vantage(model, item.place).comment == (
        "link ams-primary, seen at its end ce1:ams1 (ce); "
        "the other end is equinix-amsterdam:ams1 (provider); "
        "circuit ams primary; tags 3/100 are ams/private primary; tags 3/200 are ams/microsoft primary; "
        "outbound is towards Microsoft"
    )


def test_addresses_belong_to_the_peering_that_leads_to_them(model: LabModel) -> None:
    from ipaddress import ip_address

    known = destinations(model)
    assert known.peering(ip_address("10.50.1.4")) == "private"
    assert known.peering(ip_address("52.112.0.10")) == "microsoft"
    assert known.peering(ip_address("10.1.0.10")) is None


@needs_libpcap
@pytest.mark.parametrize("vids", [(), (100,), (3, 100)])
@pytest.mark.parametrize("tpid", [0x8100, 0x88A8])
def test_a_filter_looks_behind_the_tags(vids: tuple[int, ...], tpid: int) -> None:
    bgp, arp = under(BGP, *vids, tpid=tpid), under(ARP, *vids, tpid=tpid)
    keeps, others = compile_filter("tcp port 179 and host 192.168.15.1"), compile_filter("not arp")
    assert [keeps(one, len(one)) for one in (bgp, arp)] == [True, False]
    assert [others(one, len(one)) for one in (bgp, arp)] == [True, False]
    assert (untagged(bgp), vids_of(bgp)) == (BGP, vids)


@needs_libpcap
def test_a_filter_knows_the_length_on_the_wire() -> None:
    longer = compile_filter("greater 1000")
    assert [longer(BGP, length) for length in (54, 1400)] == [False, True]


@needs_libpcap
@pytest.mark.parametrize(
    ("expression", "words"),
    [("udp prt 1", "syntax error"), ("vlan 3 and tcp", "--tags 3/100"), ("port nosuchservice", "port")],
)
def test_a_wrong_filter_is_told_with_a_way_out(expression: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        compile_filter(expression)


def test_tags_are_compared_from_the_outermost() -> None:
    frames = [ARP, under(ARP, 3), under(ARP, 3, 100), under(ARP, 3, 200), under(ARP, 100)]
    kept = with_tags([(3,)])
    assert [kept(one, len(one)) for one in frames] == [False, True, True, True, False]
    kept = with_tags([(3, 100), ()])
    assert [kept(one, len(one)) for one in frames] == [True, False, True, False, False]


def test_tags_are_written_as_everywhere() -> None:
    assert [parse_tags_word(word) for word in ("3/100", "3", "none")] == [(3, 100), (3,), ()]
    for word in ("", "3/", "x", "5000", "3/100/"):
        with pytest.raises(UsageError, match="outermost first"):
            parse_tags_word(word)


@needs_libpcap
@pytest.mark.parametrize("frame", [b"", MAC, MAC + b"\x81", under(ARP, 3)[:15], MAC + b"\x81\x00" * 20])
def test_a_frame_cut_anywhere_is_read_no_further(frame: bytes) -> None:
    keeps = compile_filter("tcp")
    assert not keeps(frame, len(frame))
    assert len(vids_of(frame)) <= 10


@pytest.mark.parametrize(
    ("word", "limits"),
    [
        ("16M", (16_000_000, None)),
        ("500k", (500_000, None)),
        ("30s", (None, 30.0)),
        ("1.5G,0.5s", (1_500_000_000, 0.5)),
        ("4096", (4096, None)),
    ],
)
def test_a_ring_is_so_many_octets_or_seconds(word: str, limits: tuple[int | None, float | None]) -> None:
    assert parse_ring(word) == limits


@pytest.mark.parametrize("word", ["", "0", "16X", "M", "-3s", "16M;30s"])
def test_a_wrong_ring_is_told(word: str) -> None:
    with pytest.raises(UsageError, match="16M"):
        parse_ring(word)


def test_what_was_lost_is_told_by_place() -> None:
    told = _told(CaptureSummary(90, 12, "interrupted", {"ce1:ams1": 10, "pc1:eth0": 2}, let_go=5))
    assert told.splitlines() == [
        "90 frames, 12 lost, 5 older ones let go (interrupted)",
        "lost at ce1:ams1 for lack of room: 10; narrow the capture to fewer places",
        "lost at pc1:eth0 for lack of room: 2; narrow the capture to fewer places",
    ]


def test_what_could_not_be_written_is_told() -> None:
    summary = CaptureSummary(
        90, 0, "the reader does not read", failed="the reader does not read", unwritten=7
    )
    assert _told(summary) == "90 frames, 7 more not written (the reader does not read)"


def test_devices_that_vanished_are_told() -> None:
    told = _told(CaptureSummary(9, 0, "interrupted", vanished={"ce1:ams1": False, "pc1:eth0": True}))
    assert told.splitlines() == [
        "9 frames (interrupted)",
        "ce1:ams1 vanished",
        "pc1:eth0 vanished and came back; what passed meanwhile is missing",
    ]
