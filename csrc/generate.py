#!/usr/bin/env python3
"""Compile the BPF objects and write what a user's machine needs of each: edge/fastpath/<object>.bpf.json.

    python3 csrc/generate.py            # all of them, or: make -C csrc
    python3 csrc/generate.py mark       # one

Needs clang and libbpf's headers (Debian: clang-14 libbpf-dev); a user needs neither. The output holds
the instructions of each program as one hexadecimal word per instruction, the places where a map's
descriptor belongs, the maps, and a hash of the sources by which a test notices a stale file.

Why not libbpf or the light skeleton that `bpftool gen skeleton -L` makes: both tie the build to the
libbpf of the machine (0.5 on Ubuntu 22.04, 1.x later, with different skel_internal.h), and the
skeleton loads itself by a BPF program of its own, which hides the verifier's words. Programs without
global data and CO-RE need only "make maps, put their descriptors in, load": four commands of bpf(2),
see edge/fastpath/program.py. Functions that the compiler leaves out of line (static, noinline) are
linked behind the program that calls them here, so that the loader knows nothing of them.
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
OUTPUT = HERE.parent / "edge" / "fastpath"
PACKET_CORE = ("octets.h", "parse.h", "classify.h", "rewrite.h")
OBJECTS: dict[str, tuple[str, ...]] = {
    "tags": ("tags.bpf.c", "wire.bpf.h", "tags.h", "policer.h"),
    "mark": ("mark.bpf.c", "wire.bpf.h", "mark.h", "policy.h", *PACKET_CORE),
    "impair": ("impair.bpf.c", "turnout.h"),
}
"""Object -> its sources; the first is compiled, the others are what it includes."""
CLANGS = ("clang-14", "clang", "clang-15", "clang-16", "clang-17", "clang-18", "clang-19")
FLAGS = ("-O2", "-g", "-Wall", "-Wextra", "-Werror", "-target", "bpf", "-mcpu=v3")

R_BPF_64_64, R_BPF_64_32 = 1, 10
SHT_SYMTAB, SHT_REL = 2, 9
STT_FUNC = 2
CALL, PSEUDO_CALL = 0x85, 1
"""Opcode of a call, and the source register that says "of a function of this program"."""


class Section(NamedTuple):
    """A section of the object: its name, kind, content, and the section it links to and is about."""

    name: str
    kind: int
    data: bytes
    link: int
    info: int


class Symbol(NamedTuple):
    """A symbol: its name, kind (STT_*), the section it lies in, its offset there and its size."""

    name: str
    kind: int
    section: int
    value: int
    size: int


class Function(NamedTuple):
    """A function of the object: its name, where it lies, and its instructions of 8 octets each."""

    name: str
    section: int
    first: int
    words: tuple[bytes, ...]


def source_hash(name: str) -> str:
    """SHA-256 over names and contents of an object's sources, in hexadecimal."""
    digest = hashlib.sha256()
    for source in OBJECTS[name]:
        digest.update(source.encode() + b"\0" + (HERE / source).read_bytes() + b"\0")
    return digest.hexdigest()


def find_clang() -> str | None:
    """The first clang on PATH, clang-14 preferred: the shipped file is made with it."""
    return next((name for name in CLANGS if shutil.which(name)), None)


def compile_object(clang: str, name: str) -> bytes:
    """The ELF object that `clang` makes of the sources. Raises CalledProcessError with its words."""
    multiarch = sysconfig.get_config_var("MULTIARCH") or "x86_64-linux-gnu"
    with tempfile.TemporaryDirectory() as scratch:
        target = Path(scratch) / f"{name}.bpf.o"
        subprocess.run(
            [clang, *FLAGS, f"-I/usr/include/{multiarch}", "-c", OBJECTS[name][0], "-o", str(target)],
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
        Symbol(text_at(strings, name), info & 0xF, section, value, size)
        for name, info, _other, section, value, size in struct.iter_unpack("<IBBHQQ", table.data)
    ]


def functions(sections: list[Section], symbols: list[Symbol]) -> list[Function]:
    """All functions, the programs among them."""
    found = []
    for symbol in symbols:
        if symbol.kind == STT_FUNC:
            code = sections[symbol.section].data[symbol.value : symbol.value + symbol.size]
            words = tuple(code[i : i + 8] for i in range(0, len(code), 8))
            found.append(Function(symbol.name, symbol.section, symbol.value // 8, words))
    return found


def relocations(sections: list[Section], symbols: list[Symbol]) -> dict[tuple[int, int], tuple[int, Symbol]]:
    """(section, instruction) -> what belongs there: the relocation's type and the symbol it names."""
    return {
        (table.info, offset // 8): (info & 0xFFFFFFFF, symbols[info >> 32])
        for table in sections
        if table.kind == SHT_REL
        for offset, info in struct.iter_unpack("<QQ", table.data)
    }


def link(entry: Function, sections: list[Section], symbols: list[Symbol]) -> dict[str, object]:
    """A program with the functions that it calls, directly or not, behind it.

    A call's `imm` is the distance from the instruction after it to the function's first one. As the
    compiler leaves it, that counts from the symbol of its relocation, or within the section without one.
    """
    known = functions(sections, symbols)
    named = relocations(sections, symbols)
    linked, starts = [entry], {entry: 0}
    words: list[bytes] = []
    calls: list[tuple[int, Function]] = []
    descriptors: dict[int, str] = {}
    for function in linked:
        starts[function] = len(words)
        for number, word in enumerate(function.words, function.first):
            kind, symbol = named.get((function.section, number), (0, None))
            at = len(words)
            words.append(word)
            opcode, registers, _offset, imm = struct.unpack("<BBhi", word)
            if opcode == CALL and registers >> 4 == PSEUDO_CALL:
                section, base = (symbol.section, symbol.value // 8) if symbol else (function.section, number)
                target = next(f for f in known if (f.section, f.first) == (section, base + imm + 1))
                calls.append((at, target))
                if target not in linked:
                    linked.append(target)
            elif symbol and kind == R_BPF_64_64 and sections[symbol.section].name == "maps":
                descriptors[at] = symbol.name
            elif symbol:
                raise ValueError(f"{entry.name}: cannot relocate {symbol.name}: no global data, no CO-RE")
    for at, target in calls:
        words[at] = words[at][:4] + struct.pack("<i", starts[target] - at - 1)
    return {
        "maps": [[at, descriptors[at]] for at in sorted(descriptors)],
        "instructions": [word.hex() for word in words],
    }


def programs(sections: list[Section], symbols: list[Symbol]) -> Iterator[tuple[str, dict[str, object]]]:
    """Name and content of each program: one per section whose name begins with `tc/`."""
    for function in functions(sections, symbols):
        name = sections[function.section].name
        if name.startswith("tc/"):
            yield name.removeprefix("tc/"), link(function, sections, symbols)


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


def generate(clang: str, name: str) -> str:
    """The text of an object's output file."""
    sections = read_sections(compile_object(clang, name))
    symbols = read_symbols(sections)
    licence = next(section.data for section in sections if section.name == "license")
    version = subprocess.run([clang, "--version"], check=True, capture_output=True, text=True).stdout
    document = {
        "comment": f"Generated from csrc/{OBJECTS[name][0]} by csrc/generate.py. Do not edit.",
        "source_sha256": source_hash(name),
        "compiler": version.splitlines()[0],
        "licence": licence.rstrip(b"\0").decode(),
        "maps": maps(sections, symbols),
        "programs": dict(programs(sections, symbols)),
    }
    return json.dumps(document, indent=2) + "\n"


def main() -> int:
    """Write the files, or with --check say whether they are what the sources give."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--check", action="store_true", help="compare only; exit 1 when a file is stale")
    parser.add_argument("objects", nargs="*", metavar="OBJECT", help=f"of {', '.join(OBJECTS)}; all without")
    arguments = parser.parse_args()
    unknown = set(arguments.objects) - OBJECTS.keys()
    if unknown:
        parser.error(f"no object {', '.join(sorted(unknown))}; there are {', '.join(OBJECTS)}")
    clang = find_clang()
    if clang is None:
        print("generate.py: no clang found\n  way out: apt-get install clang-14 libbpf-dev", file=sys.stderr)
        return 3
    status = 0
    for name in arguments.objects or OBJECTS:
        output = OUTPUT / f"{name}.bpf.json"
        try:
            text = generate(clang, name)
        except subprocess.CalledProcessError:
            print(f"generate.py: clang refused csrc/{OBJECTS[name][0]}; its words are above", file=sys.stderr)
            return 4
        if not arguments.check:
            output.write_text(text)
        elif not output.exists() or output.read_text() != text:
            print(f"generate.py: {output} is stale\n  way out: make -C csrc", file=sys.stderr)
            status = 1
    return status


if __name__ == "__main__":
    sys.exit(main())
