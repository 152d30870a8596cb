#!/usr/bin/env python3
"""Compile tags.bpf.c and write what a user's machine needs of it: edge/fastpath/tags.bpf.json.

    python3 csrc/generate.py            # or: make -C csrc

Needs clang and libbpf's headers (Debian: clang-14 libbpf-dev); a user needs neither. The output holds
the instructions of each program as one hexadecimal word per instruction, the places where a map's
descriptor belongs, the maps, and a hash of the sources by which a test notices a stale file.

Why not libbpf or the light skeleton that `bpftool gen skeleton -L` makes: both tie the build to the
libbpf of the machine (0.5 on Ubuntu 22.04, 1.x later, with different skel_internal.h), and the
skeleton loads itself by a BPF program of its own, which hides the verifier's words. Programs without
function calls, global data and CO-RE need only "make maps, put their descriptors in, load": four
commands of bpf(2), see edge/fastpath/program.py.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import struct
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).resolve().parent
OUTPUT = HERE.parent / "edge" / "fastpath" / "tags.bpf.json"
SOURCES = ("tags.bpf.c", "tags.h", "policer.h")
CLANGS = ("clang-14", "clang", "clang-15", "clang-16", "clang-17", "clang-18", "clang-19")
FLAGS = ("-O2", "-g", "-Wall", "-Wextra", "-Werror", "-target", "bpf", "-mcpu=v3")

R_BPF_64_64 = 1
SHT_SYMTAB, SHT_REL = 2, 9


class Section(NamedTuple):
    """A section of the object: its name, kind, content, and the section it links to and is about."""

    name: str
    kind: int
    data: bytes
    link: int
    info: int


class Symbol(NamedTuple):
    """A symbol: its name, the section it lies in and its offset there."""

    name: str
    section: int
    value: int


def source_hash() -> str:
    """SHA-256 over names and contents of the sources, in hexadecimal."""
    digest = hashlib.sha256()
    for name in SOURCES:
        digest.update(name.encode() + b"\0" + (HERE / name).read_bytes() + b"\0")
    return digest.hexdigest()


def find_clang() -> str | None:
    """The first clang on PATH, clang-14 preferred: the shipped file is made with it."""
    return next((name for name in CLANGS if shutil.which(name)), None)


def compile_object(clang: str) -> bytes:
    """The ELF object that `clang` makes of tags.bpf.c. Raises CalledProcessError with its words."""
    multiarch = sysconfig.get_config_var("MULTIARCH") or "x86_64-linux-gnu"
    with tempfile.TemporaryDirectory() as scratch:
        target = Path(scratch) / "tags.bpf.o"
        subprocess.run(
            [clang, *FLAGS, f"-I/usr/include/{multiarch}", "-c", "tags.bpf.c", "-o", str(target)],
            cwd=HERE,
            check=True,
        )
        return target.read_bytes()


def read_sections(elf: bytes) -> list[Section]:
    """All sections of a little-endian ELF64 object, by index."""
    if elf[:6] != b"\x7fELF\x02\x01":
        raise ValueError("not a little-endian ELF64 object")
    (offset,) = struct.unpack_from("<Q", elf, 40)
    size, count, names = struct.unpack_from("<HHH", elf, 58)
    headers = [struct.unpack_from("<IIQQQQIIQQ", elf, offset + i * size) for i in range(count)]
    strings = elf[headers[names][4] :]
    return [
        Section(text_at(strings, header[0]), header[1], elf[header[4] : header[4] + header[5]], *header[6:8])
        for header in headers
    ]


def text_at(strings: bytes, offset: int) -> str:
    """The zero-terminated string at `offset` of a string table."""
    return strings[offset : strings.index(b"\0", offset)].decode()


def read_symbols(sections: list[Section]) -> list[Symbol]:
    """The symbol table, by index."""
    table = next(section for section in sections if section.kind == SHT_SYMTAB)
    strings = sections[table.link].data
    return [
        Symbol(text_at(strings, name), section, value)
        for name, _info, _other, section, value, _size in struct.iter_unpack("<IBBHQQ", table.data)
    ]


def programs(sections: list[Section], symbols: list[Symbol]) -> Iterator[tuple[str, dict[str, object]]]:
    """Name and content of each program: one per section whose name begins with `tc/`."""
    for index, section in enumerate(sections):
        if section.kind == SHT_REL or not section.name.startswith("tc/"):
            continue
        maps = {}
        for relocation in (s for s in sections if s.kind == SHT_REL and s.info == index):
            for offset, info in struct.iter_unpack("<QQ", relocation.data):
                symbol = symbols[info >> 32]
                if info & 0xFFFFFFFF != R_BPF_64_64 or sections[symbol.section].name != "maps":
                    raise ValueError(
                        f"{section.name}: cannot relocate {symbol.name}: keep to maps, call nothing"
                    )
                maps[offset // 8] = symbol.name
        words = [section.data[i : i + 8].hex() for i in range(0, len(section.data), 8)]
        yield (
            section.name.removeprefix("tc/"),
            {"maps": [[at, maps[at]] for at in sorted(maps)], "instructions": words},
        )


def maps(sections: list[Section], symbols: list[Symbol]) -> dict[str, dict[str, int]]:
    """The maps by name, in the order of the source."""
    index = next(i for i, section in enumerate(sections) if section.name == "maps")
    found = sorted(
        (symbol.value, symbol.name) for symbol in symbols if symbol.section == index and symbol.name
    )
    fields = ("type", "key_size", "value_size", "max_entries")
    return {
        name: dict(zip(fields, struct.unpack_from("<IIII", sections[index].data, at), strict=True))
        for at, name in found
    }


def generate(clang: str) -> str:
    """The text of the output file."""
    sections = read_sections(compile_object(clang))
    symbols = read_symbols(sections)
    licence = next(section.data for section in sections if section.name == "license")
    version = subprocess.run([clang, "--version"], check=True, capture_output=True, text=True).stdout
    document = {
        "comment": "Generated from csrc/tags.bpf.c by csrc/generate.py. Do not edit.",
        "source_sha256": source_hash(),
        "compiler": version.splitlines()[0],
        "licence": licence.rstrip(b"\0").decode(),
        "maps": maps(sections, symbols),
        "programs": dict(programs(sections, symbols)),
    }
    return json.dumps(document, indent=2) + "\n"


def main() -> int:
    """Write the file, or with --check say whether it is what the sources give."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--check", action="store_true", help="compare only; exit 1 when the file is stale")
    arguments = parser.parse_args()
    clang = find_clang()
    if clang is None:
        print("generate.py: no clang found\n  way out: apt-get install clang-14 libbpf-dev", file=sys.stderr)
        return 3
    try:
        text = generate(clang)
    except subprocess.CalledProcessError:
        print("generate.py: clang refused csrc/tags.bpf.c; its words are above", file=sys.stderr)
        return 4
    if not arguments.check:
        OUTPUT.write_text(text)
        return 0
    if not OUTPUT.exists() or OUTPUT.read_text() != text:
        print(f"generate.py: {OUTPUT} is stale\n  way out: make -C csrc", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
