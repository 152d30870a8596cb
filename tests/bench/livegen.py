"""Drives a router without a wire: frames from templates enter at a port, a counter stands behind it.

One BPF_PROG_TEST_RUN with BPF_F_TEST_XDP_LIVE_FRAMES runs the whole receive path of the port for as many
frames as asked, in the calling thread (facts: fastpath 2). The programs are rivals/forward.bpf.c.
"""

from __future__ import annotations

import ctypes
import importlib.util
import os
import struct
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge.errors import CapabilityError
from edge.fastpath import bpf
from edge.fastpath.layout import pack_index
from edge.fastpath.program import ProgramSpec, link_maps

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "tests" / "bench" / "rivals" / "forward.bpf.c"
TEMPLATES, OCTETS = 256, 64

_PROG_TYPE_XDP = 6
_LIVE_FRAMES = 1 << 1
_BATCH = 64
_XDP_MD = struct.Struct("=6I")


@dataclass(frozen=True, slots=True)
class Programs:
    """The compiled programs and the sizes of their maps."""

    licence: str
    maps: Mapping[str, Mapping[str, int]]
    programs: Mapping[str, ProgramSpec]


def compile_programs() -> Programs:
    """Raises CapabilityError without clang and libbpf's headers."""
    spec = importlib.util.spec_from_file_location("edge_generate", ROOT / "csrc" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    generate: Any = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generate)
    clang = generate.find_clang()
    missing = CapabilityError(
        "the generator of frames cannot be compiled", "apt-get install clang-14 libbpf-dev"
    )
    if clang is None:
        raise missing
    generate.OBJECTS["forward"] = (str(SOURCE),)
    try:
        sections = generate.read_sections(generate.compile_object(clang, "forward"))
    except subprocess.CalledProcessError as error:
        raise missing from error
    symbols = generate.read_symbols(sections)
    programs = {
        name: ProgramSpec(
            bytes.fromhex("".join(content["instructions"])), tuple((at, to) for at, to in content["maps"])
        )
        for name, content in generate.programs(sections, symbols)
    }
    return Programs("Dual BSD/GPL", generate.maps(sections, symbols), programs)


class Generator:
    """One generator and one counter in the kernel. Raises OSError."""

    def __init__(self, compiled: Programs) -> None:
        self._maps = {
            name: bpf.Map(name, m["type"], (m["key_size"], m["value_size"]), m["max_entries"])
            for name, m in compiled.maps.items()
        }
        descriptors = {name: m.fd for name, m in self._maps.items()}
        codes = {name: link_maps(program, descriptors) for name, program in compiled.programs.items()}
        self._generate = _load_xdp(codes["generate"], compiled.licence)
        self.receive = bpf.load_classifier("bench_receive", codes["receive"], compiled.licence)

    def set_templates(self, frames: list[bytes]) -> None:
        """Frames of at most 64 octets, taken in turn."""
        for number in range(TEMPLATES):
            frame = frames[number % len(frames)]
            self._maps["templates"].put(pack_index(number), frame + bytes(OCTETS - len(frame)))

    def run(self, ifindex: int, frames: int) -> float:
        """Let so many frames enter at a port of the calling thread's namespace; nanoseconds of its CPU."""
        data = ctypes.create_string_buffer(bytes(OCTETS), OCTETS)
        context = ctypes.create_string_buffer(_XDP_MD.pack(0, OCTETS, 0, ifindex, 0, 0), _XDP_MD.size)
        attributes = struct.pack(
            "=IIIIQQIIIIQQIII4x",
            *(self._generate, 0, OCTETS, 0, ctypes.addressof(data), 0),
            *(frames, 0, _XDP_MD.size, 0, ctypes.addressof(context), 0),
            *(_LIVE_FRAMES, 0, _BATCH),
        )
        start = time.thread_time_ns()
        bpf._bpf(bpf.PROG_TEST_RUN, attributes)
        return time.thread_time_ns() - start

    def received(self) -> dict[int, int]:
        """Frames by DSCP that arrived behind the router so far."""
        counts = {}
        for dscp in range(64):
            value = self._maps["received"].get(pack_index(dscp)) or b""
            if total := sum(count for (count,) in struct.iter_unpack("=Q", value)):
                counts[dscp] = total
        return counts

    def forget(self) -> None:
        """Count from nothing, and begin with the first template."""
        for dscp in range(64):
            self._maps["received"].put(pack_index(dscp), bytes(self._maps["received"].value_size))
        self._maps["cursor"].put(pack_index(0), bytes(self._maps["cursor"].value_size))

    def close(self) -> None:
        """Free everything."""
        for held in self._maps.values():
            held.close()
        os.close(self._generate)
        os.close(self.receive)


def _load_xdp(code: bytes, licence: str) -> int:
    instructions = ctypes.create_string_buffer(code, len(code))
    text = ctypes.create_string_buffer(licence.encode())
    return bpf._bpf(
        bpf.PROG_LOAD,
        struct.pack(
            "=IIQQIIQII16s",
            *(_PROG_TYPE_XDP, len(code) // 8, ctypes.addressof(instructions), ctypes.addressof(text)),
            *(0, 0, 0, 0, 0, b"bench_generate"),
        ),
    )
