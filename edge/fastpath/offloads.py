"""Segmentation offloads of a device, set by ethtool's ioctl: which kinds of large frames it may be given.

A virtio_net_hdr has words for few kinds of large frames: TCP on all kernels, UDP from Linux 6.2 on, tunnels
never. A frame of another kind cannot be read through it (EINVAL) and would be lost. Where a device cannot
take a kind, the kernel cuts such frames before it hands them over.
"""

from __future__ import annotations

import array
import fcntl
import socket
import struct

_SIOCETHTOOL = 0x8946
_GET_STRINGS, _GET_COUNTS, _SET_FEATURES = 0x1B, 0x37, 0x3B
_FEATURES = 4
"""ETH_SS_FEATURES: the set of names of features."""
_NAME_OCTETS = 32
_WORD_BITS = 32


def _ask(sock: socket.socket, device: str, command: array.array[int]) -> None:
    """One ethtool command; the answer stands in the same memory. Raises OSError."""
    address, _ = command.buffer_info()
    fcntl.ioctl(sock, _SIOCETHTOOL, struct.pack("16sP", device.encode(), address).ljust(40, b"\0"))


def features(sock: socket.socket, device: str) -> list[str]:
    """Names of the features that this kernel knows; a feature's place in it is its bit. Raises OSError."""
    counts = array.array("B", struct.pack("=IIQI", _GET_COUNTS, 0, 1 << _FEATURES, 0))
    _ask(sock, device, counts)
    (count,) = struct.unpack_from("=I", counts, 16)
    names = array.array(
        "B", struct.pack("=III", _GET_STRINGS, _FEATURES, count) + bytes(count * _NAME_OCTETS)
    )
    _ask(sock, device, names)
    octets = names.tobytes()[12:]
    fields = (octets[at : at + _NAME_OCTETS] for at in range(0, len(octets), _NAME_OCTETS))
    return [field.rstrip(b"\0").decode() for field in fields]


def unreadable(name: str) -> bool:
    """Whether a feature lets large frames through that not every virtio_net_hdr can describe. Pure."""
    large = name.startswith("tx-") and (name.endswith("-segmentation") or name == "tx-gso-list")
    # Generic segmentation is the switch for building large frames at all.
    return large and not name.startswith("tx-tcp") and name != "tx-generic-segmentation"


def take_tcp_only(device: str) -> None:
    """Have large frames of other protocols than TCP cut before a device of this namespace sends them.

    Raises OSError.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        names = features(sock, device)
        words = -(-len(names) // _WORD_BITS)
        valid = [0] * words
        for bit, name in enumerate(names):
            if unreadable(name):
                valid[bit // _WORD_BITS] |= 1 << bit % _WORD_BITS
        blocks = b"".join(struct.pack("=II", mask, 0) for mask in valid)
        _ask(sock, device, array.array("B", struct.pack("=II", _SET_FEATURES, words) + blocks))
