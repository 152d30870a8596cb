"""Offers UDP at a rate, in large pieces that the kernel cuts into packets (UDP_SEGMENT): run inside a node.

`python offer.py SOURCE_PORT ADDRESS PORT BITS_PER_SECOND SECONDS` sends packets of PACKET octets of payload
and prints what was sent as JSON: octets of frames without tags, packets, and seconds.
"""

from __future__ import annotations

import json
import os
import socket
import struct
import sys
import time

SOL_UDP, UDP_SEGMENT = 17, 103
PACKET = 1200
PIECES = 52
"""Packets that one call hands over, of 65,507 octets at most."""
HEADERS = 14 + 20 + 8
"""Ethernet, IPv4, UDP."""

MOST_LATE_S = 0.02
"""What is late by less than this is made up for."""


def main(source_port: int, address: str, port: int, rate_bps: float, seconds: float) -> None:
    """Send, and tell. In front of everybody, so that a busy machine offers what it should, too."""
    os.setpriority(os.PRIO_PROCESS, 0, -20)
    piece = bytes(PACKET * PIECES)
    octets = PIECES * (PACKET + HEADERS)
    gap_s = octets * 8 / rate_bps
    segment = [(SOL_UDP, UDP_SEGMENT, struct.pack("=H", PACKET))]
    sent = 0
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("", source_port))
        began = due = time.monotonic()
        while (now := time.monotonic()) - began < seconds:
            if now < due:
                time.sleep(due - now)
                continue
            sock.sendmsg([piece], segment, 0, (address, port))
            sent += 1
            due = max(due + gap_s, now - MOST_LATE_S)
    spent = time.monotonic() - began
    print(json.dumps({"octets": sent * octets, "packets": sent * PIECES, "seconds": spent}))


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), float(sys.argv[4]), float(sys.argv[5]))
