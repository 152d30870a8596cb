"""BPF programs and maps of other processes, opened by the kernel's numbers. Thin, as edge.fastpath.bpf is.

Layouts: `union bpf_attr`, `struct bpf_prog_info` and `struct bpf_map_info` of <linux/bpf.h>; fields that
were added at their ends are not asked for. Opening by number takes CAP_SYS_ADMIN in the machine's own user
namespace. Every function raises OSError with the kernel's errno.
"""

from __future__ import annotations

import ctypes
import os
import struct
from dataclasses import dataclass

from edge.fastpath import bpf

_PROG_FD_BY_ID, _MAP_FD_BY_ID, _PROG_QUERY = 13, 14, 16
_COUNT_AT = 24
"""Where the kernel writes how many programs a hook has."""

_PROGRAMS_MAX = 64
"""Of one hook (BPF_MPROG_MAX)."""

_MAPS_MAX = 64
"""Of one program that we open (MAX_USED_MAPS)."""

_PROGRAM_INFO = struct.Struct("=II8sIIQQQIIQ16s")
_MAP_INFO = struct.Struct("=6I16s")


@dataclass(frozen=True, slots=True)
class ProgramInfo:
    """name: the first 15 characters of it. maps: numbers of the maps that the program uses."""

    number: int
    name: str
    maps: tuple[int, ...]


class OpenedMap(bpf.Map):
    """A map that somebody made, by its number; reads and writes as if it were ours."""

    def __init__(self, number: int) -> None:
        self.fd = _open(_MAP_FD_BY_ID, number)
        try:
            self.kind, _, key, value, self.max_entries, _, name = _MAP_INFO.unpack(
                bpf.info(self.fd, _MAP_INFO.size)
            )
        except BaseException:
            os.close(self.fd)
            raise
        self.name, self.key_size, self.value_size = _text(name), key, value
        if self.kind == bpf.MAP_TYPE_PERCPU_ARRAY:
            self.value_size = (value + 7) // 8 * 8 * bpf.possible_cpus()
        self.element_size = value


def programs_at(ifindex: int, attach_type: int) -> tuple[int, ...]:
    """Numbers of the programs at a tcx hook of a device in the thread's namespace, in their order.

    EINVAL where the kernel knows no tcx (before 6.6).
    """
    numbers = (ctypes.c_uint32 * _PROGRAMS_MAX)()
    attributes = struct.pack(
        "=IIIIQIIQQQQ",
        *(ifindex, attach_type, 0, 0),
        *(ctypes.addressof(numbers), _PROGRAMS_MAX, 0),
        *(0, 0, 0, 0),
    )
    asked = ctypes.create_string_buffer(attributes, len(attributes))
    bpf.call(_PROG_QUERY, asked)
    return tuple(numbers[: struct.unpack_from("=I", asked.raw, _COUNT_AT)[0]])


def program(number: int) -> ProgramInfo:
    """What the kernel tells of a program. ENOENT when it has gone, EPERM for an ordinary user."""
    maps = (ctypes.c_uint32 * _MAPS_MAX)()
    fd = _open(_PROG_FD_BY_ID, number)
    try:
        wanted = _PROGRAM_INFO.pack(
            *(0, 0, bytes(8), 0, 0, 0, 0, 0, 0, _MAPS_MAX, ctypes.addressof(maps), bytes(16))
        )
        found = _PROGRAM_INFO.unpack(bpf.info(fd, len(wanted), wanted))
    finally:
        os.close(fd)
    return ProgramInfo(number, _text(found[11]), tuple(maps[: min(found[9], _MAPS_MAX)]))


def _open(command: int, number: int) -> int:
    # start_id, next_id, open_flags
    attributes = struct.pack("=III", number, 0, 0)
    return bpf.call(command, ctypes.create_string_buffer(attributes, len(attributes)))


def _text(octets: bytes) -> str:
    return octets.split(b"\0")[0].decode(errors="replace")
