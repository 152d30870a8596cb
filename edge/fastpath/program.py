"""The shipped BPF objects: read from <object>.bpf.json, loaded with bpf(2).

`tags` is the tag plane, `mark` the marking plane. The files are generated (csrc/generate.py says how, and
why this and no skeleton); loading means: make the maps, put their descriptors into the instructions that
name them, hand the programs to the verifier.
"""

from __future__ import annotations

import functools
import json
import os
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from types import MappingProxyType

from edge.fastpath import bpf

_PSEUDO_MAP_FD = 1
_WITH_SPIN_LOCK = "buckets"
_HELD_BY: Mapping[str, str] = {"policies": "policy"}
"""A map of maps -> the map that shows what those are like."""


@dataclass(frozen=True, slots=True)
class MapSpec:
    """How a map is made: the kernel's type number, octets of key and value, most entries."""

    kind: int
    key_size: int
    value_size: int
    max_entries: int


@dataclass(frozen=True, slots=True)
class ProgramSpec:
    """A program's instructions, and where (by index) a map's descriptor belongs."""

    instructions: bytes
    maps: tuple[tuple[int, str], ...]


@dataclass(frozen=True, slots=True)
class Shipped:
    """The generated file."""

    source_sha256: str
    compiler: str
    licence: str
    maps: Mapping[str, MapSpec]
    programs: Mapping[str, ProgramSpec]


@functools.cache
def shipped(name: str) -> Shipped:
    """Read the generated file of an object, which is installed beside this module."""
    document = json.loads(resources.files("edge.fastpath").joinpath(f"{name}.bpf.json").read_text())
    return Shipped(
        document["source_sha256"],
        document["compiler"],
        document["licence"],
        MappingProxyType(
            {
                name: MapSpec(spec["type"], spec["key_size"], spec["value_size"], spec["max_entries"])
                for name, spec in document["maps"].items()
            }
        ),
        MappingProxyType(
            {
                name: ProgramSpec(
                    bytes.fromhex("".join(spec["instructions"])),
                    tuple((index, map_name) for index, map_name in spec["maps"]),
                )
                for name, spec in document["programs"].items()
            }
        ),
    )


def link_maps(program: ProgramSpec, descriptors: Mapping[str, int]) -> bytes:
    """The instructions with the maps' descriptors put in. Pure.

    A 64-bit load (opcode 0x18) takes its descriptor in `imm`, and BPF_PSEUDO_MAP_FD in the source
    register says that it is one.
    """
    code = bytearray(program.instructions)
    for index, name in program.maps:
        opcode, registers, offset, _imm = struct.unpack_from("<BBhi", code, index * 8)
        if opcode != 0x18:
            raise ValueError(f"instruction {index} cannot hold a map (opcode 0x{opcode:02x})")
        registers = registers & 0x0F | _PSEUDO_MAP_FD << 4
        struct.pack_into("<BBhi", code, index * 8, opcode, registers, offset, descriptors[name])
    return bytes(code)


class Loaded:
    """Maps and programs of an object in the kernel; freed by `close` or with the process. Raises OSError."""

    def __init__(self, name: str) -> None:
        self.maps: dict[str, bpf.Map] = {}
        self.programs: dict[str, int] = {}
        spec = shipped(name)
        try:
            for map_name, m in spec.maps.items():
                self.maps[map_name] = self._create_map(map_name, m)
            descriptors = {map_name: m.fd for map_name, m in self.maps.items()}
            for program_name, program in spec.programs.items():
                code = link_maps(program, descriptors)
                self.programs[program_name] = bpf.load_classifier(f"edge_{program_name}", code, spec.licence)
        except OSError:
            self.close()
            raise

    def _create_map(self, name: str, spec: MapSpec) -> bpf.Map:
        btf = bpf.load_spin_lock_btf(spec.value_size) if name == _WITH_SPIN_LOCK else None
        inner = self.maps[_HELD_BY[name]].fd if name in _HELD_BY else 0
        try:
            sizes = (spec.key_size, spec.value_size)
            return bpf.Map(name, spec.kind, sizes, spec.max_entries, btf, inner)
        finally:
            if btf is not None:
                os.close(btf.fd)

    def close(self) -> None:
        """Let go of everything; attached programs and their maps live on until they are detached."""
        for m in self.maps.values():
            m.close()
        for fd in self.programs.values():
            os.close(fd)
        self.maps.clear()
        self.programs.clear()
