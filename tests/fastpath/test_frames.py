"""Frames in memory: the tag parser in C against an oracle in Python, and tags kept apart in metadata."""

from __future__ import annotations

import shutil
import struct
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.fastpath.frames import (
    Auxdata,
    FrameTag,
    ParsedFrame,
    Verdict,
    parse_auxdata,
    parse_tags,
    restore_tag,
)
from edge.model import Tag

CSRC = Path(__file__).resolve().parents[2] / "csrc"
TPIDS = (0x8100, 0x88A8)
TAGS_MAX = 8

tcis = st.integers(0, 0xFFFF)
frame_tags = st.builds(FrameTag.of_tci, st.sampled_from(TPIDS), tcis)
ethertypes = st.one_of(
    st.sampled_from([0x0800, 0x86DD, 0x0806, 0x88CC, 0x0040]),
    st.integers(0, 0xFFFF).filter(lambda n: n not in TPIDS),
)


def build(tags: list[FrameTag], ethertype: int, payload: bytes) -> bytes:
    stack = b"".join(struct.pack("!HH", tag.tpid, tag.tci) for tag in tags)
    return bytes(range(12)) + stack + struct.pack("!H", ethertype) + payload


def oracle(frame: bytes, aux: FrameTag | None) -> ParsedFrame:
    """The same by recursion over the words of the frame, written without a look at the C."""
    tags = [aux] if aux else []
    words = [frame[i : i + 2] for i in range(12, len(frame), 2)]
    index = 0
    while True:
        at = 12 + 2 * index
        word = words[index] if index < len(words) else b""
        if len(word) < 2:
            return ParsedFrame(tuple(tags), 0, at, Verdict.TRUNCATED)
        ethertype = int.from_bytes(word, "big")
        if ethertype not in TPIDS:
            return ParsedFrame(tuple(tags), ethertype, at + 2)
        if len(tags) == TAGS_MAX:
            return ParsedFrame(tuple(tags), ethertype, at, Verdict.TOO_DEEP)
        tci = words[index + 1] if index + 1 < len(words) else b""
        if len(tci) < 2:
            return ParsedFrame(tuple(tags), 0, at, Verdict.TRUNCATED)
        tags.append(FrameTag.of_tci(ethertype, int.from_bytes(tci, "big")))
        index += 2


@given(st.lists(frame_tags, max_size=8), ethertypes, st.binary(max_size=20), st.one_of(st.none(), frame_tags))
def test_built_frames_are_read_back(
    tags: list[FrameTag], ethertype: int, payload: bytes, aux: FrameTag | None
) -> None:
    all_tags = ([aux] if aux else []) + tags
    parsed = parse_tags(build(tags, ethertype, payload), aux)
    if len(all_tags) > TAGS_MAX:
        assert parsed.verdict is Verdict.TOO_DEEP
        assert parsed.tags == tuple(all_tags[:TAGS_MAX])
    else:
        assert parsed == ParsedFrame(tuple(all_tags), ethertype, 14 + 4 * len(tags))


@given(st.lists(frame_tags, max_size=10), ethertypes, st.data())
def test_truncated_frames_agree_with_the_oracle(
    tags: list[FrameTag], ethertype: int, data: st.DataObject
) -> None:
    frame = build(tags, ethertype, b"")
    cut = data.draw(st.integers(0, len(frame)))
    aux = data.draw(st.one_of(st.none(), frame_tags))
    assert parse_tags(frame[:cut], aux) == oracle(frame[:cut], aux)


@given(st.binary(max_size=64), st.one_of(st.none(), frame_tags))
def test_any_bytes_agree_with_the_oracle(frame: bytes, aux: FrameTag | None) -> None:
    assert parse_tags(frame, aux) == oracle(frame, aux)
    assert parse_tags(memoryview(bytearray(frame)), aux) == oracle(frame, aux)


def test_tags_of_the_model_and_tags_of_the_wire() -> None:
    parsed = parse_tags(build([FrameTag(0x88A8, 3, pcp=5), FrameTag(0x8100, 100)], 0x0800, b""))
    assert parsed.vids == (3, 100)
    assert parsed.stack == (Tag(3, 0x88A8), Tag(100))
    assert parsed.tags[0].pcp == 5
    priority = parse_tags(build([FrameTag(0x8100, 0, pcp=7, dei=True)], 0x0806, b""))
    assert priority.tags == (FrameTag(0x8100, 0, 7, True),)
    with pytest.raises(ValueError, match="outside 1-4094"):
        _ = priority.stack


def test_the_tag_in_auxdata_is_found() -> None:
    def auxdata(status: int, tci: int, tpid: int) -> bytes:
        return struct.pack("=IIIHHHH", status, 60, 60, 0, 14, tci, tpid)

    def tag(status: int, tci: int, tpid: int) -> FrameTag | None:
        found = parse_auxdata(auxdata(status, tci, tpid))
        assert found is not None
        return found.tag

    assert tag(0x1 | 0x10 | 0x40, 0x6003, 0x88A8) == FrameTag(0x88A8, 3, pcp=3)
    assert tag(0x1 | 0x10, 100, 0) == FrameTag(0x8100, 100)
    assert tag(0x1, 0, 0) is None
    assert parse_auxdata(auxdata(0x1 | 0x8, 0, 0)) == Auxdata(60, None, partial_checksum=True)
    assert parse_auxdata(b"short") is None


@given(st.lists(frame_tags, min_size=1, max_size=8), ethertypes, st.binary(max_size=20))
def test_a_tag_kept_apart_goes_back_where_it_stood(
    tags: list[FrameTag], ethertype: int, payload: bytes
) -> None:
    assert restore_tag(build(tags[1:], ethertype, payload), tags[0]) == build(tags, ethertype, payload)


def test_a_frame_without_a_tag_or_without_room_for_one_stays_as_it_is() -> None:
    frame = build([], 0x0800, b"payload")
    assert restore_tag(frame, None) == frame
    assert restore_tag(frame[:11], FrameTag(0x8100, 3)) == frame[:11]


HARNESS = r"""
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "frame.h"

/* Each frame lies in a block of exactly its length, so that one octet beyond is a report. */
int main(void)
{
	uint32_t seed = 12345;
	unsigned long total = 0;

	for (int round = 0; round < 200000; round++) {
		struct edge_frame out;
		size_t length = round % 61;
		uint8_t *frame = malloc(length ? length : 1);

		for (size_t i = 0; i < length; i++) {
			seed = seed * 1664525u + 1013904223u;
			frame[i] = (uint8_t)(seed >> 24);
		}
		for (size_t i = 12; i + 1 < length && (seed >> (i & 15) & 7); i += 4)
			memcpy(frame + i, seed & 1 << i % 13 ? "\x81\x00" : "\x88\xa8", 2);
		enum edge_frame_verdict verdict =
			edge_tags_parse(frame, length, round & 1 ? 0x88a8 : 0, (uint16_t)seed, &out);
		if (verdict == EDGE_FRAME_WHOLE && out.payload > length)
			return 1;
		total += out.depth;
		free(frame);
	}
	printf("%lu\n", total);
	return total ? 0 : 1;
}
"""


def test_the_parser_is_clean_under_sanitizers(tmp_path: Path) -> None:
    gcc = shutil.which("gcc")
    if gcc is None:
        pytest.skip("no gcc: apt-get install gcc")
    (tmp_path / "harness.c").write_text(HARNESS)
    program = tmp_path / "harness"
    flags = "-g -O1 -std=gnu11 -Wall -Wextra -Werror -fsanitize=address,undefined -fno-sanitize-recover=all"
    built = subprocess.run(
        [gcc, *flags.split(), f"-I{CSRC}", "harness.c", str(CSRC / "frame.c"), "-o", str(program)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    if "cannot find" in built.stderr:
        pytest.skip("gcc has no sanitizers: apt-get install libasan8 libubsan1")
    assert built.returncode == 0, built.stderr
    done = subprocess.run(
        [str(program)], capture_output=True, text=True, env={"ASAN_OPTIONS": "detect_leaks=0"}
    )
    assert done.returncode == 0, done.stderr
