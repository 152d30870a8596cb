"""Capture files are marked packet by packet as the oracle says, and nothing else in them changes."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence

import pytest

from edge.fastpath.capture import CaptureCounts, Count, mark_stream, read_packets
from edge.qos.model import Direction, Policy, Treatment
from edge.qos.profiles import profile
from edge.qos.table import compile_policy
from tests import oracle
from tests.fastpath import captures
from tests.fastpath.captures import Ng, ethernet, ip4, ip6, udp

TEAMS = profile("teams")

AUDIO = udp(50005, 40000)
PACKETS = (
    ip4(AUDIO),
    ip4(udp(50025, 40000), tos=0x01),
    ip4(udp(50045, 40000), options=bytes.fromhex("01010100")),
    ip4(udp(53, 53), tos=0xB8),
    ip4(udp(53, 53), tos=0x68),
    ip4(AUDIO, tos=0xB8),
    ip6(AUDIO),
    ip6(udp(40000, 50020), traffic_class=0x03),
    ip6(udp(53, 53), traffic_class=0x68),
    ip4(b"\x13\xc4\x00\x50" + bytes(16), protocol=6, tos=0x20),
)
TAGGED = (
    (),
    ((0x8100, 100),),
    ((0x88A8, 3), (0x8100, 100)),
    ((0x9100, 3), (0x8100, 200)),
    ((0x88A8, 3), (0x88A8, 4), (0x8100, 100)),
)
FRAMES = tuple(ethernet(packet, *tags) for packet in PACKETS for tags in TAGGED)
NO_IP = captures.MACS + b"\x08\x06" + bytes(28)


def mark(
    capture: bytes,
    policy: Policy = TEAMS,
    direction: Direction = "out",
    treatment: Treatment = "mark",
    piece: int | None = None,
) -> tuple[bytes, CaptureCounts]:
    """A capture marked in memory; `piece`: octets per read, as a pipe may give them."""
    source, target = io.BytesIO(capture), bytearray()
    counts = mark_stream(
        lambda view: source.readinto(view[:piece]),
        target.extend,
        compile_policy(policy, direction, treatment),
        len(policy.rules),
        "capture",
    )
    return bytes(target), counts


def marked(packet: bytes, direction: Direction = "out", treatment: Treatment = "mark") -> bytes:
    """A frame as the oracle says."""
    return oracle.verdict(packet, TEAMS, direction, treatment)[1]


def marked_ip(packet: bytes) -> bytes:
    """An IP packet as the oracle says."""
    return oracle.verdict_l3(packet, TEAMS, "out", "mark")[1]


@pytest.mark.parametrize("order", ["<", ">"], ids=["little-endian", "big-endian"])
@pytest.mark.parametrize(
    "magic", [captures.MICROSECONDS, captures.NANOSECONDS], ids=["microseconds", "nanoseconds"]
)
def test_every_frame_of_a_pcap_is_marked_as_the_oracle_says(order: str, magic: int) -> None:
    def write(frames: Sequence[bytes]) -> bytes:
        return captures.pcap(frames, order=order, magic=magic)

    got, counts = mark(write(FRAMES))
    assert got == write([marked(frame) for frame in FRAMES])
    assert got != write(FRAMES)
    assert counts.format == "pcap"
    assert counts.total.packets == len(FRAMES)


@pytest.mark.parametrize("order", ["<", ">"], ids=["little-endian", "big-endian"])
def test_every_kind_of_packet_block_is_marked_and_other_blocks_pass(order: str) -> None:
    ng = Ng(order)

    def write(mark: Callable[[bytes], bytes]) -> bytes:
        blocks = [ng.section(), ng.others(), ng.interface(), ng.others()]
        for frame in FRAMES:
            blocks += [
                ng.enhanced(mark(frame)),
                ng.simple(mark(frame)),
                ng.obsolete(mark(frame)),
                ng.others(),
            ]
        return b"".join(blocks)

    got, counts = mark(write(lambda frame: frame))
    assert got == write(marked)
    assert counts.format == "pcapng"
    assert counts.total.packets == 3 * len(FRAMES)


def test_sections_of_both_byte_orders_and_many_interfaces_share_a_file() -> None:
    def write(mark: Callable[[bytes], bytes], mark_ip: Callable[[bytes], bytes]) -> bytes:
        blocks = []
        for order, minor in (("<", 0), (">", 2), ("<", 0)):
            ng = Ng(order)
            blocks += [ng.section(minor), ng.interface(captures.RAW), ng.interface(captures.USB)]
            blocks += [ng.interface() for _ in range(300)]
            for packet in PACKETS:
                blocks.append(ng.enhanced(mark_ip(packet), 0))
                blocks.append(ng.enhanced(ethernet(packet), 1))
                blocks.append(ng.enhanced(mark(ethernet(packet)), 301))
                blocks.append(ng.obsolete(mark(ethernet(packet)), 2))
        return b"".join(blocks)

    got, counts = mark(write(lambda frame: frame, lambda packet: packet))
    assert got == write(marked, marked_ip)
    assert counts.other.packets == 3 * len(PACKETS)


@pytest.mark.parametrize(
    ("link", "wrap"),
    [
        (captures.ETHERNET, ethernet),
        (captures.SLL, captures.cooked),
        (captures.SLL2, captures.cooked2),
    ],
    ids=["ethernet", "sll", "sll2"],
)
@pytest.mark.parametrize("tags", TAGGED[:4], ids=["untagged", "dot1q", "qinq", "9100"])
def test_link_types_give_the_same_packet_the_same_mark(
    link: int, wrap: Callable[..., bytes], tags: tuple[tuple[int, int], ...]
) -> None:
    got, _ = mark(captures.pcap([wrap(packet, *tags) for packet in PACKETS], link=link))
    assert got == captures.pcap([wrap(marked_ip(packet), *tags) for packet in PACKETS], link=link)


@pytest.mark.parametrize("wrap", [captures.cooked, captures.cooked2])
def test_a_cooked_packet_with_three_tags_passes_and_counts_as_not_ip(wrap: Callable[..., bytes]) -> None:
    link = captures.SLL if wrap is captures.cooked else captures.SLL2
    capture = captures.pcap([wrap(PACKETS[0], *TAGGED[4])], link=link)
    got, counts = mark(capture)
    assert got == capture
    assert counts.not_ip.packets == 1


@pytest.mark.parametrize("link", [captures.RAW, 12, 14])
def test_raw_ip_is_told_by_its_version(link: int) -> None:
    got, _ = mark(captures.pcap(PACKETS, link=link))
    assert got == captures.pcap([marked_ip(packet) for packet in PACKETS], link=link)


def test_a_capture_of_one_ip_version_leaves_the_other_alone() -> None:
    for link, version in ((captures.IPV4_ONLY, 4), (captures.IPV6_ONLY, 6)):
        got, counts = mark(captures.pcap(PACKETS, link=link))
        wanted = [marked_ip(packet) if packet[0] >> 4 == version else packet for packet in PACKETS]
        assert got == captures.pcap(wanted, link=link)
        assert counts.not_ip.packets == sum(packet[0] >> 4 != version for packet in PACKETS)


def test_a_link_type_that_is_not_read_passes_and_is_counted() -> None:
    capture = captures.pcap(FRAMES, link=captures.USB)
    got, counts = mark(capture)
    assert got == capture
    assert counts.other == Count(len(FRAMES), sum(map(len, FRAMES)), 0) == counts.total


@pytest.mark.parametrize("snaplen", [*range(0, 90, 7), 33, 34, 53, 54, 65])
def test_of_a_cut_packet_what_is_there_is_marked(snaplen: int) -> None:
    def write(frames: Sequence[bytes]) -> bytes:
        return captures.pcap(frames, snaplen=snaplen)

    got, counts = mark(write(FRAMES))
    header, record = 24, 16
    at = header
    for frame in FRAMES:
        cut = frame[:snaplen]
        assert got[at + record : at + record + len(cut)] == marked(cut)
        at += record + len(cut)
    assert at == len(got)
    assert counts.total.octets == sum(map(len, FRAMES)), "octets are those on the wire"


def test_padding_behind_a_cut_packet_is_no_part_of_it() -> None:
    # 33 octets of frame hold 19 of the IPv4 header: the three octets of padding must not complete it.
    ng = Ng()
    head = ng.section() + ng.interface(snaplen=33)
    for block in (ng.simple(FRAMES[0][:33], wire=len(FRAMES[0])), ng.enhanced(FRAMES[0][:33], wire=100)):
        got, counts = mark(head + block)
        assert got == head + block
        assert counts.not_ip.packets == 1


@pytest.mark.parametrize("piece", [1, 2, 3, 7, 16, 61, 997, 4096])
def test_a_pipe_that_gives_a_few_octets_at_a_time_gives_the_same_result(piece: int) -> None:
    ng = Ng(">")
    capture = ng.section() + ng.others() + ng.interface()
    capture += b"".join(ng.enhanced(frame) + ng.others() for frame in FRAMES)
    for source in (capture, captures.pcap(FRAMES)):
        assert mark(source, piece=piece) == mark(source)


def test_records_larger_than_the_window_stream_through() -> None:
    large = ethernet(ip4(udp(50005, 40000, bytes(60000))))
    jumbo = ethernet(ip4(AUDIO)) + bytes(700_000)
    ng = Ng()
    custom = ng.block(0xBAD, bytes(900_000))

    def write(mark: Callable[[bytes], bytes]) -> bytes:
        blocks = [ng.section(), ng.interface(), custom]
        for _ in range(20):
            blocks += [
                ng.enhanced(mark(large)),
                ng.enhanced(mark(jumbo)),
                ng.enhanced(mark(FRAMES[0])),
                custom,
            ]
        return b"".join(blocks)

    got, counts = mark(write(lambda frame: frame))
    assert got == write(marked)
    assert counts.total == Count(60, 20 * (len(large) + len(jumbo) + len(FRAMES[0])), 60)


def test_a_window_border_may_fall_anywhere_in_a_record() -> None:
    # Frames of 1 to 400 octets of payload: the borders at multiples of 256 KiB meet every part of a record.
    frames = [ethernet(ip4(udp(50005, 40000, bytes(1 + n % 400)))) for n in range(6000)]
    got, counts = mark(captures.pcap(frames))
    assert got == captures.pcap([marked(frame) for frame in frames])
    assert counts.total.changed == 6000


def test_steering_changes_no_octet_and_counts_the_same() -> None:
    capture = captures.pcap(FRAMES)
    _, counts = mark(capture)
    got, steered = mark(capture, treatment="steer")
    assert got == capture
    assert steered.total.changed == 0
    assert [count.packets for count in steered.rules] == [count.packets for count in counts.rules]


def test_counts_by_rule_are_those_of_the_oracle() -> None:
    _, counts = mark(captures.pcap([*FRAMES, NO_IP]), direction="in")
    verdicts = [(oracle.verdict(frame, TEAMS, "in", "mark"), frame) for frame in FRAMES]
    for index, count in enumerate(counts.rules):
        own = [(after, frame) for (verdict, after), frame in verdicts if verdict.rule == index]
        assert count == Count(
            len(own), sum(len(frame) for _, frame in own), sum(after != frame for after, frame in own)
        )
    too_deep = [frame for frame in FRAMES if oracle.network_layer(frame) is None]
    assert counts.not_ip.packets == len(too_deep) + 1
    assert counts.total.packets == len(FRAMES) + 1


def test_a_capture_without_packets_passes() -> None:
    for capture in (captures.pcap([]), Ng().section()):
        assert mark(capture)[0] == capture


def test_reading_gives_packets_with_numbers_and_what_they_begin_with() -> None:
    ng = Ng()
    capture = ng.section() + ng.interface() + ng.interface(captures.SLL) + ng.interface(captures.USB)
    capture += ng.enhanced(FRAMES[0], 0, wire=1500) + ng.others()
    capture += ng.enhanced(captures.cooked(PACKETS[1]), 1) + ng.enhanced(b"usb!", 2)
    assert [(p.number, p.kind, p.data, p.wire) for p in _read(capture)] == [
        (1, "ethernet", FRAMES[0], 1500),
        (2, "ip", PACKETS[1], 16 + len(PACKETS[1])),
        (3, "other", b"usb!", 4),
    ]


def test_reading_gives_every_packet_of_a_long_capture() -> None:
    frames = [ethernet(ip4(udp(50005, n))) for n in range(1, 9000)]
    assert [packet.data for packet in _read(captures.pcap(frames))] == frames


def _read(capture: bytes) -> Iterator[object]:
    source = io.BytesIO(capture)
    return read_packets(source.readinto, "capture")
