"""Broken captures: words with the place, never a crash, never a wrong octet."""

from __future__ import annotations

import io
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.errors import InputError
from edge.fastpath.capture import STANDARD_INPUT, read_packets
from tests.fastpath import captures
from tests.fastpath.captures import Ng
from tests.fastpath.test_capture_file import FRAMES, mark

NG = Ng()
HEAD = NG.section() + NG.interface()
PCAP = captures.pcap(FRAMES[:8])
PCAPNG = HEAD + b"".join(
    block
    for frame in FRAMES[:6]
    for block in (NG.enhanced(frame), NG.others(), NG.simple(frame), NG.obsolete(frame))
)


def block(kind: int, total: int, body: bytes, trailer: int | None = None) -> bytes:
    """A block with lengths of one's own."""
    return struct.pack("<II", kind, total) + body + struct.pack("<I", total if trailer is None else trailer)


def packet_block(kind: int, fixed: bytes, data: bytes = bytes(16)) -> bytes:
    """A packet block whose lengths agree, whatever stands in it."""
    return block(kind, 12 + len(fixed) + len(data), fixed + data)


BROKEN = {
    "empty": (b"", "is empty"),
    "text": (b"hello, world", "at octet 0: neither pcap nor pcapng"),
    "two octets": (b"\xd4\xc3", "at octet 0: neither pcap nor pcapng"),
    "gzip": (b"\x1f\x8b\x08\x00rest", "is compressed with gzip; unpack it on the way: gzip -dc capture"),
    "zstd": (b"\x28\xb5\x2f\xfdrest", "is compressed with zstd"),
    "lz4": (b"\x04\x22\x4d\x18rest", "is compressed with lz4"),
    "xz": (b"\xfd7zXZ\x00rest", "is compressed with xz"),
    "pcap of version 1": (PCAP[:4] + b"\x01\x00" + PCAP[6:], "at octet 0: a version"),
    "pcapng of version 2": (HEAD[:12] + b"\x02\x00" + HEAD[14:], "at octet 0: a version"),
    "half a pcap header": (PCAP[:20], "at octet 0: neither"),
    "half a record header": (PCAP[:30], "at octet 24: the file ends in the middle of a record"),
    "half a packet": (PCAP[:60], "at octet 24: the file ends in the middle"),
    "record of 4 GB": (PCAP[:32] + b"\xff\xff\xff\xff" + PCAP[36:], "at octet 24: the record's length"),
    "no byte order": (HEAD[:8] + b"abcd" + HEAD[12:], "at octet 0: neither"),
    "block of 4 octets": (HEAD + block(6, 4, b""), f"at octet {len(HEAD)}: the record's length"),
    "length no multiple of 4": (HEAD + block(5, 21, bytes(12)), f"at octet {len(HEAD)}: the record's length"),
    "two lengths": (HEAD + block(9, 16, bytes(4), 20), f"at octet {len(HEAD) + 12}: the block's length"),
    "short section": (block(0x0A0D0D0A, 24, HEAD[8:24]), "at octet 0: the record's length"),
    "short interface": (NG.section() + block(1, 16, bytes(4)), "the record's length"),
    "short enhanced packet": (HEAD + block(6, 28, bytes(16)), f"at octet {len(HEAD)}: the record's length"),
    "short simple packet": (HEAD + block(3, 12, b""), f"at octet {len(HEAD)}: the record's length"),
    "packet beyond its block": (
        HEAD + packet_block(6, struct.pack("<5I", 0, 0, 0, 17, 17)),
        f"at octet {len(HEAD)}: the record's length",
    ),
    "obsolete packet beyond its block": (
        HEAD + packet_block(2, struct.pack("<HHIIII", 0, 0, 0, 0, 0xFFFFFFFF, 0)),
        f"at octet {len(HEAD)}: the record's length",
    ),
    "simple packet beyond its block": (
        HEAD + packet_block(3, struct.pack("<I", 17)),
        f"at octet {len(HEAD)}: the record's length",
    ),
    "interface that is not there": (
        HEAD + packet_block(6, struct.pack("<5I", 1, 0, 0, 16, 16)),
        f"at octet {len(HEAD)}: the packet is of an interface that no block",
    ),
    "interface of the section before": (
        HEAD + NG.section() + NG.simple(FRAMES[0]),
        "the packet is of an interface that no block",
    ),
    "half a block": (PCAPNG[: len(HEAD) + 40], f"at octet {len(HEAD)}: the file ends in the middle"),
    "half a trailer": (PCAPNG[:-2], f"at octet {len(PCAPNG) - 4}: the file ends in the middle"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_capture_is_refused_with_the_place_of_the_fault(name: str) -> None:
    capture, words = BROKEN[name]
    with pytest.raises(InputError) as refusal:
        mark(capture)
    assert words in str(refusal.value)
    assert str(refusal.value).startswith("capture: ")
    assert len(refusal.value.problems) == 1


def test_more_interfaces_than_can_be_kept_are_refused() -> None:
    with pytest.raises(InputError, match="more than 65536 interfaces"):
        mark(NG.section() + NG.interface() * 65537)


def test_the_way_out_of_a_cut_file_is_named() -> None:
    with pytest.raises(InputError, match="can be saved: editcap capture WHOLE"):
        mark(PCAP[:-3])


@pytest.mark.parametrize(
    ("octets", "said"),
    [
        (PCAP[:-3], "keep the input in a file; what stands before it can be saved: editcap FILE WHOLE"),
        (b"\x1f\x8b\x08\x00rest", "unpack it on the way: ... | gzip -dc | edge mark - OUT"),
    ],
)
def test_the_way_out_of_a_broken_standard_input_names_no_file(octets: bytes, said: str) -> None:
    source = io.BytesIO(octets)
    with pytest.raises(InputError) as refusal:
        list(read_packets(source.readinto, STANDARD_INPUT))
    assert str(refusal.value).startswith("standard input")
    assert str(refusal.value).endswith(f"; {said}")


def _mutated(base: bytes) -> st.SearchStrategy[bytes]:
    """A capture with octets overwritten, runs taken out or doubled, or its end cut off."""

    def apply(edits: list[tuple[int, int, bytes]], end: int) -> bytes:
        data = bytearray(base)
        for place, taken, put in edits:
            at = place % (len(data) + 1)
            data[at : at + taken] = put
        return bytes(data[: len(data) - end])

    edit = st.tuples(st.integers(0, len(base)), st.integers(0, 12), st.binary(max_size=12))
    overwrite = st.tuples(st.integers(0, len(base)), st.just(1), st.binary(min_size=1, max_size=1))
    return st.builds(apply, st.lists(st.one_of(edit, overwrite), max_size=6), st.integers(0, 40))


@settings(max_examples=400, deadline=None)
@given(st.one_of(_mutated(PCAP), _mutated(PCAPNG)), st.sampled_from([None, 13, 64]))
def test_a_mutated_capture_is_marked_or_refused_and_keeps_its_length(
    capture: bytes, piece: int | None
) -> None:
    try:
        got, counts = mark(capture, piece=piece)
    except InputError:
        return
    assert len(got) == len(capture)
    changed = sum(a != b for a, b in zip(got, capture, strict=True))
    # One octet of DSCP and two of checksum, or two octets of IPv6.
    assert changed <= 3 * counts.total.changed


@settings(max_examples=200, deadline=None)
@given(st.integers(0, len(PCAPNG)), st.sampled_from([None, 1, 29]))
def test_a_file_cut_anywhere_is_whole_only_between_records(end: int, piece: int | None) -> None:
    borders = {0}
    at = 0
    while at < len(PCAPNG):
        at += struct.unpack_from("<I", PCAPNG, at + 4)[0]
        borders.add(at)
    if end in borders - {0}:
        assert len(mark(PCAPNG[:end], piece=piece)[0]) == end
    else:
        with pytest.raises(InputError):
            mark(PCAPNG[:end], piece=piece)
