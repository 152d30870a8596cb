from __future__ import annotations

import struct
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.utils import RawPcapNgReader

from lab import pcapng

FRAMES = st.lists(
    st.tuples(
        st.binary(min_size=1, max_size=70),
        st.integers(0, 2**62),
        st.sampled_from(["inbound", "outbound", "unknown"]),
    ),
    max_size=10,
)


def blocks(data: bytes) -> list[tuple[int, bytes]]:
    """Split a file by the lengths at both ends of each block."""
    found = []
    while data:
        kind, length = struct.unpack_from("=II", data)
        assert length % 4 == 0
        assert struct.unpack_from("=I", data, length - 4) == (length,)
        found.append((kind, data[8 : length - 4]))
        data = data[length:]
    return found


@given(FRAMES, st.text(max_size=30), st.text(max_size=30))
def test_scapy_reads_back_every_frame_and_time(
    frames: list[tuple[bytes, int, pcapng.Direction]], name: str, description: str
) -> None:
    data = pcapng.section_header("edgelab test", "Linux") + pcapng.interface(name, description, 128)
    for frame, time_ns, direction in frames:
        data += pcapng.packet(0, time_ns, frame, len(frame) + 10, direction)
    data += pcapng.statistics(0, start_ns=0, end_ns=2**40, received=len(frames), dropped=1, comment="x")
    assert [kind for kind, _ in blocks(data)] == [0x0A0D0D0A, 1, *[6] * len(frames), 5]
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory, "x.pcapng")
        file.write_bytes(data)
        with RawPcapNgReader(str(file)) as reader:
            read = list(reader)
    assert [packet for packet, _ in read] == [frame for frame, _, _ in frames]
    assert [meta.wirelen for _, meta in read] == [len(frame) + 10 for frame, _, _ in frames]
    assert [(meta.tshigh << 32) + meta.tslow for _, meta in read] == [time_ns for _, time_ns, _ in frames]
    assert all(meta.tsresol == 1_000_000_000 for _, meta in read)


@pytest.mark.parametrize(("direction", "bits"), [("inbound", 1), ("outbound", 2)])
def test_the_direction_is_in_the_packets_flags(direction: pcapng.Direction, bits: int) -> None:
    ((_, body),) = blocks(pcapng.packet(0, 0, b"abcd", 4, direction))
    assert body[24:] == struct.pack("=HHIHH", 2, 4, bits, 0, 0)


def test_a_text_too_long_for_an_option_is_cut_between_characters() -> None:
    ((_, body),) = blocks(pcapng.interface("é" * 40000))
    code, length = struct.unpack_from("=HH", body, 8)
    assert (code, length) == (2, 65534)
    assert body[12 : 12 + length].decode() == "é" * 32767


def options(data: bytes) -> dict[int, bytes]:
    """The options at the end of a block's body."""
    found = {}
    while data:
        code, length = struct.unpack_from("=HH", data)
        if code:
            found[code] = data[4 : 4 + length]
        data = data[4 + length + (-length % 4) :]
    return found


def test_places_and_packets_bear_comments() -> None:
    ((_, body),) = blocks(pcapng.interface("ce1:ams1", "ams-primary", 0, "the customer's side", "tags 3/100"))
    expected = {1: b"the customer's side", 2: b"ce1:ams1", 3: b"ams-primary", 9: b"\x09", 11: b"\0tags 3/100"}
    assert options(body[8:]) == expected
    ((_, body),) = blocks(pcapng.packet(0, 0, b"abcd", 4, "inbound", "class voice"))
    assert options(body[24:]) == {1: b"class voice", 2: struct.pack("=I", 1)}
