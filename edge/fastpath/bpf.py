"""bpf(2) by ctypes: maps, programs, links. Thin, and holds no policy.

ctypes and not the C extension, because then tags need no compiler on the user's machine: the programs
are shipped built (see csrc/generate.py) and these few commands are all that loading them takes. The
structures are those of <linux/bpf.h>; the kernel takes a shorter `union bpf_attr` than its own and
reads the rest as zero, so each command passes just the fields that it uses.

Every function raises OSError with the kernel's errno. All descriptors are close-on-exec.
"""

from __future__ import annotations

import ctypes
import os
import platform
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

MAP_CREATE, MAP_LOOKUP, MAP_UPDATE, MAP_DELETE, MAP_NEXT_KEY, PROG_LOAD = range(6)
PROG_TEST_RUN, OBJ_GET_INFO, BTF_LOAD, LINK_CREATE, LINK_DETACH = 10, 15, 18, 28, 34

MAP_TYPE_ARRAY, MAP_TYPE_PERCPU_ARRAY, MAP_TYPE_ARRAY_OF_MAPS = 2, 6, 12
PROG_TYPE_SCHED_CLS = 3
ATTACH_TCX_INGRESS, ATTACH_TCX_EGRESS = 46, 47
UPDATE_ANY, UPDATE_NOEXIST, UPDATE_EXIST = 0, 1, 2
_BEFORE, _RELATIVE_IS_LINK = 1 << 3, 1 << 13

SYSCALL_NUMBERS: Mapping[str, int] = {
    "x86_64": 321,
    "aarch64": 280,
    "riscv64": 280,
    "loongarch64": 280,
    "ppc64le": 361,
}
"""bpf(2) by machine, from the kernel's syscall tables; little-endian machines only, as is our byte code."""

VERIFIER_LOG_OCTETS = 1 << 18

_ANY_ALIGNMENT = 1 << 1
"""BPF_F_ANY_ALIGNMENT: behind Ethernet an IP header lies at half a word. All machines above read that, but a
kernel may be built as if they could not (User-Mode Linux is), and would refuse to try."""

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long


def _bpf(command: int, attributes: bytes) -> int:
    return call(command, ctypes.create_string_buffer(attributes, len(attributes)))


def call(command: int, buffer: ctypes.Array[ctypes.c_char]) -> int:
    """bpf(2) with a `union bpf_attr` in a buffer, into which some commands write their answer."""
    number = SYSCALL_NUMBERS.get(platform.machine())
    if number is None:
        raise OSError(38, f"bpf(2) is not known for a {platform.machine()} machine")
    result = int(
        _libc.syscall(ctypes.c_long(number), ctypes.c_long(command), buffer, ctypes.c_ulong(len(buffer)))
    )
    if result < 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
    return result


def _buffer(content: bytes | int) -> ctypes.Array[ctypes.c_char]:
    if isinstance(content, int):
        return ctypes.create_string_buffer(content)
    return ctypes.create_string_buffer(content, len(content))


def possible_cpus() -> int:
    """How many values a per-CPU map element has: CPUs that may ever be there, online or not."""
    text = Path("/sys/devices/system/cpu/possible").read_text().strip()
    ranges = (part.partition("-") for part in text.split(","))
    return sum(int(last or first) - int(first) + 1 for first, _, last in ranges)


class Map:
    """A BPF map held open by its descriptor; keys and values are bytes of fixed sizes.

    Values of a per-CPU map are those of all possible CPUs one after the other, each padded to 8
    octets, as the kernel hands them over. A map of maps takes descriptors and gives numbers (`id`); `inner`
    is the descriptor of one like those that it will hold.
    """

    def __init__(
        self,
        name: str,
        kind: int,
        sizes: tuple[int, int],
        max_entries: int,
        btf: Btf | None = None,
        inner: int = 0,
    ) -> None:
        self.name = name
        self.key_size, self.value_size = sizes
        if kind == MAP_TYPE_PERCPU_ARRAY:
            self.value_size = (self.value_size + 7) // 8 * 8 * possible_cpus()
        self.fd = _bpf(
            MAP_CREATE,
            struct.pack(
                "=7I16s4I",
                *(kind, *sizes, max_entries, 0, inner, 0),
                name.encode()[:15],
                0,
                *((btf.fd, btf.key_type, btf.value_type) if btf else (0, 0, 0)),
            ),
        )

    def _element(self, command: int, key: bytes, value: int, flags: int = 0) -> None:
        if len(key) != self.key_size:
            raise ValueError(f"map {self.name}: a key has {self.key_size} octets, not {len(key)}")
        buffer = _buffer(key)
        _bpf(command, struct.pack("=IIQQQ", self.fd, 0, ctypes.addressof(buffer), value, flags))

    def get(self, key: bytes) -> bytes | None:
        """The value at `key`, or None."""
        value = _buffer(self.value_size)
        try:
            self._element(MAP_LOOKUP, key, ctypes.addressof(value))
        except FileNotFoundError:
            return None
        return value.raw

    def put(self, key: bytes, value: bytes, flags: int = UPDATE_ANY) -> None:
        """Set a value. FileExistsError with UPDATE_NOEXIST, FileNotFoundError with UPDATE_EXIST."""
        if len(value) != self.value_size:
            raise ValueError(f"map {self.name}: a value has {self.value_size} octets, not {len(value)}")
        buffer = _buffer(value)
        self._element(MAP_UPDATE, key, ctypes.addressof(buffer), flags)

    def delete(self, key: bytes) -> bool:
        """Take `key` out; False when it was not there."""
        try:
            self._element(MAP_DELETE, key, 0)
        except FileNotFoundError:
            return False
        return True

    def keys(self) -> Iterator[bytes]:
        """All keys. Entries that come or go meanwhile may be missed, or seen twice."""
        key: bytes | None = None
        while True:
            following = _buffer(self.key_size)
            current = _buffer(key) if key is not None else None
            try:
                _bpf(
                    MAP_NEXT_KEY,
                    struct.pack(
                        "=IIQQQ",
                        self.fd,
                        0,
                        ctypes.addressof(current) if current is not None else 0,
                        ctypes.addressof(following),
                        0,
                    ),
                )
            except FileNotFoundError:
                return
            key = following.raw
            yield key

    def items(self) -> Iterator[tuple[bytes, bytes]]:
        """All keys with their values; what goes meanwhile is left out."""
        for key in list(self.keys()):
            value = self.get(key)
            if value is not None:
                yield key, value

    def id(self) -> int:
        """The kernel's number of the map."""
        return int(struct.unpack_from("=I", info(self.fd, 8), 4)[0])

    def close(self) -> None:
        """Let go of the map; the kernel frees it when no program uses it either."""
        os.close(self.fd)


@dataclass(frozen=True, slots=True)
class Btf:
    """Type information in the kernel: the descriptor, and the types of a map's key and value."""

    fd: int
    key_type: int
    value_type: int


def load_spin_lock_btf(value_size: int) -> Btf:
    """Describe a map value of `value_size` octets that begins with a `struct bpf_spin_lock`.

    That is all the verifier wants to know before a program may take the lock. Written by hand, four
    types, so that nothing depends on which BTF kinds a compiler emits and a kernel knows. Layout:
    Documentation/bpf/btf.rst. The caller closes `fd`.
    """
    strings = b"\0u32\0val\0bpf_spin_lock\0lock\0value\0"
    u32, val, spin_lock, lock, value = (
        strings.index(b"\0" + name + b"\0") + 1
        for name in (b"u32", b"val", b"bpf_spin_lock", b"lock", b"value")
    )
    kind_int, kind_struct = 1 << 24, 4 << 24
    types = struct.pack("=3I I", u32, kind_int, 4, 32)
    types += struct.pack("=3I 3I", spin_lock, kind_struct | 1, 4, val, 1, 0)
    types += struct.pack("=3I 3I", value, kind_struct | 1, value_size, lock, 2, 0)
    header = struct.pack("=HBBIIIII", 0xEB9F, 1, 0, 24, 0, len(types), len(types), len(strings))
    blob = _buffer(header + types + strings)
    fd = _bpf(BTF_LOAD, struct.pack("=QQIII", ctypes.addressof(blob), 0, len(blob), 0, 0))
    return Btf(fd, key_type=1, value_type=3)


class VerifierError(OSError):
    """The kernel's verifier refused a program; `log` is what it said."""

    def __init__(self, errno: int, name: str, log: str) -> None:
        self.log = log
        lines = [line for line in log.splitlines() if line and not line.startswith("processed ")]
        super().__init__(errno, f"BPF program {name}: {lines[-1] if lines else os.strerror(errno)}")


def load_classifier(name: str, instructions: bytes, licence: str) -> int:
    """Load a tc program; its descriptor. Raises VerifierError when the verifier refuses it."""
    code, licence_text = _buffer(instructions), _buffer(licence.encode() + b"\0")

    def attempt(log: ctypes.Array[ctypes.c_char] | None) -> int:
        return _bpf(
            PROG_LOAD,
            struct.pack(
                "=IIQQIIQII16s",
                PROG_TYPE_SCHED_CLS,
                len(instructions) // 8,
                ctypes.addressof(code),
                ctypes.addressof(licence_text),
                1 if log is not None else 0,
                len(log) if log is not None else 0,
                ctypes.addressof(log) if log is not None else 0,
                0,
                _ANY_ALIGNMENT,
                name.encode()[:15],
            ),
        )

    try:
        return attempt(None)
    except PermissionError as error:
        if error.errno == 1:
            raise
    except OSError:
        pass
    log = _buffer(VERIFIER_LOG_OCTETS)
    try:
        return attempt(log)
    except OSError as error:
        raise VerifierError(error.errno or 0, name, log.value.decode(errors="replace")) from error


def info(fd: int, size: int, asked: bytes = b"") -> bytes:
    """The first `size` octets of what the kernel tells of a program, map or link.

    asked: what stands there before, for fields that say where the kernel shall write more.
    """
    told = _buffer(asked.ljust(size, b"\0"))
    _bpf(OBJ_GET_INFO, struct.pack("=IIQ", fd, size, ctypes.addressof(told)))
    return told.raw


def program_id(fd: int) -> int:
    """The kernel's number of a loaded program."""
    return int(struct.unpack_from("=I", info(fd, 8), 4)[0])


def verified_instructions(fd: int) -> int:
    """How many instructions the verifier looked at before it accepted the program (0 before 5.16)."""
    return int(struct.unpack_from("=I", info(fd, 224), 216)[0])


def try_out(program: int, frame: bytes, repeat: int = 1) -> tuple[int, bytes, int]:
    """Give a tc program one frame `repeat` times, on the loopback of the thread's namespace (ifindex 1).

    What it returned the last time, the frame as it then was, and the mean time of a run in nanoseconds.
    Frames shorter than an Ethernet header are refused with EINVAL.
    """
    data, out = _buffer(frame), _buffer(len(frame) + 256)
    attributes = struct.pack(
        "=IIIIQQII",
        *(program, 0, len(frame), len(out)),
        *(ctypes.addressof(data), ctypes.addressof(out)),
        *(repeat, 0),
    )
    answer = _buffer(attributes)
    call(PROG_TEST_RUN, answer)
    _program, verdict, _in, size, _data, _out, _repeat, duration = struct.unpack("=IiIIQQII", answer.raw)
    return verdict, out.raw[:size], duration


def create_tcx_link(program: int, ifindex: int, attach_type: int, before: int | None = None) -> int:
    """Put a program on a device of the calling thread's namespace; closing the descriptor takes it off.

    before: the descriptor of a link there in front of which it shall run; None: behind all others.
    """
    flags, relative = (0, 0) if before is None else (_BEFORE | _RELATIVE_IS_LINK, before)
    return _bpf(LINK_CREATE, struct.pack("=IIIIII", program, ifindex, attach_type, flags, relative, 0))


def detach_link(fd: int) -> None:
    """Take a link's program off its device, whoever else has a descriptor of the link. Raises OSError."""
    _bpf(LINK_DETACH, struct.pack("=I", fd))


def tcx_link_ifindex(fd: int) -> int:
    """The device a tcx link is on; 0 when the device is gone or the link was detached."""
    return int(struct.unpack_from("=I", info(fd, 24), 16)[0])
