"""A classic BPF filter for packet sockets: UDP of some ports, whatever VLAN tags lie before it.

A socket on a busy link then wakes nobody for bulk, and its buffer is for the packets that are looked for. The
filter sees a frame as the packet socket hands it over: the outermost tag may lie beside it, others inside.
MPLS passes whole: what is behind a label is for the reader to find out.
"""

from __future__ import annotations

import ctypes
import socket
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field

SO_ATTACH_FILTER = 26
"""asm-generic/socket.h; Python does not have it."""

ETH_P_ALL = 0x0003

Ports = tuple[int, int]
"""First and last."""

_LDH_IND, _LDB_IND, _LDX_IMM = 0x48, 0x50, 0x01
_TAX, _TXA, _ADD_K, _ADD_X, _AND_K, _LSH_K = 0x07, 0x87, 0x04, 0x0C, 0x54, 0x64
_JA, _JEQ, _JGE, _JGT, _RET = 0x05, 0x15, 0x35, 0x25, 0x06
"""Opcodes of linux/bpf_common.h and linux/filter.h."""

_ETHERTYPE_AT = 12
_TAG_OCTETS = 4
_VLAN, _IPV4, _IPV6, _MPLS = (0x8100, 0x88A8), 0x0800, 0x86DD, 0x8847
_UDP = 17
_IPV6_OCTETS = 40
_WHOLE = 0x40000
"""Octets of a packet that passes."""


@dataclass(slots=True)
class _Program:
    """Instructions with jumps to labels that lie ahead."""

    code: list[tuple[int, int, str, str]] = field(default_factory=list)
    labels: dict[str, int] = field(default_factory=dict)

    def add(self, operation: int, value: int = 0, true: str = "", false: str = "") -> None:
        self.code.append((operation, value, true, false))

    def label(self, name: str) -> None:
        self.labels[name] = len(self.code)

    def assembled(self) -> bytes:
        """struct sock_filter, one after the other."""
        words = []
        for at, (operation, value, true, false) in enumerate(self.code):
            ahead = [self.labels[name] - at - 1 if name else 0 for name in (true, false)]
            always = operation == _JA
            jumps = (0, 0, ahead[0]) if always else (*ahead, value)
            words.append(struct.pack("=HBBI", operation, *jumps))
        return b"".join(words)


def udp_filter(ports: Sequence[Ports]) -> bytes:
    """The program that lets UDP pass whose source or destination port lies in one of `ports`. Pure.

    Raises ValueError for more ranges than jumps of the program reach (8 bits).
    """
    if not 0 < len(ports) <= 32:
        raise ValueError(f"1 to 32 ranges of ports, not {len(ports)}")
    program = _Program()
    program.add(_LDX_IMM, _ETHERTYPE_AT)
    for depth in range(2):
        program.add(_LDH_IND, 0)
        program.add(_JEQ, _VLAN[0], f"tag{depth}")
        program.add(_JEQ, _VLAN[1], f"tag{depth}", "type")
        program.label(f"tag{depth}")
        for operation, value in ((_TXA, 0), (_ADD_K, _TAG_OCTETS), (_TAX, 0)):
            program.add(operation, value)
    program.add(_LDH_IND, 0)
    program.label("type")
    program.add(_JEQ, _IPV4, "ipv4")
    program.add(_JEQ, _IPV6, "ipv6")
    program.add(_JEQ, _MPLS, "pass_near", "drop_near")
    program.label("ipv4")
    program.add(_LDB_IND, 2 + 9)
    program.add(_JEQ, _UDP, "", "drop_near")
    program.add(_LDB_IND, 2)
    for operation, value in ((_AND_K, 15), (_LSH_K, 2), (_ADD_X, 0), (_TAX, 0)):
        program.add(operation, value)
    program.add(_JA, 0, "ports")
    program.label("ipv6")
    program.add(_LDB_IND, 2 + 6)
    program.add(_JEQ, _UDP, "", "drop_near")
    for operation, value in ((_TXA, 0), (_ADD_K, _IPV6_OCTETS), (_TAX, 0)):
        program.add(operation, value)
    program.add(_JA, 0, "ports")
    program.label("pass_near")
    program.add(_RET, _WHOLE)
    program.label("drop_near")
    program.add(_RET, 0)
    program.label("ports")
    for at in (2, 4):
        program.add(_LDH_IND, at)
        for number, (first, last) in enumerate(ports):
            program.add(_JGE, first, "", f"not{at}.{number}")
            program.add(_JGT, last, f"not{at}.{number}", "pass")
            program.label(f"not{at}.{number}")
    program.add(_RET, 0)
    program.label("pass")
    program.add(_RET, _WHOLE)
    return program.assembled()


def attach_filter(sock: socket.socket, program: bytes) -> None:
    """Have a socket take only what the program lets pass, from now on. Raises OSError."""
    memory = ctypes.create_string_buffer(program, len(program))
    # struct sock_fprog: the number of instructions, and where they are.
    words = struct.pack("HP", len(program) // 8, ctypes.addressof(memory))
    sock.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, words)


def tap_socket(sock: socket.socket, device: str, ports: Sequence[Ports]) -> socket.socket:
    """Bind a packet socket (AF_PACKET, SOCK_RAW, protocol 0) to a device, for UDP of some ports, both ways.

    ports: (first, last), at source or destination. Raises OSError; the socket is then closed.
    """
    try:
        attach_filter(sock, udp_filter(ports))
        sock.bind((device, ETH_P_ALL))
    except OSError as error:
        sock.close()
        raise OSError(error.errno, f"cannot listen on {device}: {error.strerror}") from error
    return sock
