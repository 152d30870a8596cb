"""Hypothesis strategies: packets in words, frames whole and broken, rules over small domains."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

from hypothesis import strategies as st

from edge.model import Tag
from edge.qos.model import Policy, Rule
from edge.qos.names import PROTOCOLS_WITH_PORTS
from edge.qos.packets import PAYLOADS, Packet, octets

PORTS = (53, 3478, 3479, 50000, 50019, 50020, 65535)
ADDRESSES = {4: ("10.1.0.10", "10.1.8.1", "52.112.0.10"), 6: ("2001:db8::1", "2603:1063::1")}
PREFIXES = ("10.0.0.0/8", "10.1.8.0/22", "52.112.0.0/14", "2603:1063::/38", "2001:db8::/32")
DSCPS = (0, 10, 14, 18, 24, 34, 46)


@st.composite
def packets(draw: st.DrawFn) -> Packet:
    """Packets that words can say."""
    version = draw(st.sampled_from((4, 6)))
    protocol = draw(st.sampled_from((6, 17, 33, 132, 136, 47, 58 if version == 6 else 1)))
    address = st.sampled_from(ADDRESSES[version]).map(ip_address)
    port = st.sampled_from(PORTS) | st.integers(0, 65535)
    ports = draw(st.tuples(port, port)) if protocol in PROTOCOLS_WITH_PORTS else None
    tag = st.builds(Tag, st.integers(1, 4094), st.sampled_from((0x8100, 0x88A8)))
    return Packet(
        protocol,
        draw(address),
        draw(address),
        ports,
        draw(st.integers(0, 63)),
        draw(st.integers(0, 3)),
        tuple(draw(st.lists(tag, max_size=2))),
        draw(st.sampled_from(("", "", "first", "later"))),
        draw(st.sampled_from((b"", *PAYLOADS.values())) | st.binary(max_size=24)),
    )


@st.composite
def frames(draw: st.DrawFn) -> bytes:
    """Frames: whole, with octets changed, cut short, padded, or nothing but noise."""
    if draw(st.integers(0, 9)) == 0:
        return draw(st.binary(max_size=80))
    frame = bytearray(octets(draw(packets())))
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, min(len(frame) - 1, 70)))
        frame[at] = draw(
            st.sampled_from((0, 1, 4, 17, 43, 44, 60, 0x45, 0x46, 0x81, 255)) | st.integers(0, 255)
        )
    cut = draw(st.integers(0, len(frame)) | st.just(len(frame)))
    return bytes(frame[:cut]) + bytes(draw(st.sampled_from((0, 0, 18))))


def port_ranges() -> st.SearchStrategy[tuple[int, int] | None]:
    """Ranges whose ends lie close to each other's."""
    pair = st.tuples(st.sampled_from(PORTS), st.sampled_from(PORTS)).map(lambda p: (min(p), max(p)))
    return st.none() | pair


@st.composite
def rules(draw: st.DrawFn) -> Rule:
    """Rules over the same few values, so that they meet often. Some can never match."""
    prefixes = st.lists(st.sampled_from(PREFIXES).map(ip_network), max_size=2, unique=True).map(tuple)
    name, dscp = draw(st.sampled_from((("voice", 46), ("video", 34), ("default", None))))
    return Rule(
        "r",
        name,
        dscp,
        tuple(draw(st.lists(st.sampled_from((6, 17, 1)), max_size=2, unique=True))),
        draw(port_ranges()),
        draw(port_ranges()),
        draw(port_ranges()),
        draw(prefixes),
        draw(prefixes),
        tuple(draw(st.lists(st.sampled_from(DSCPS), max_size=2, unique=True))),
        draw(st.sampled_from(("", "", "", "stun", "rtp"))),
        draw(st.sampled_from(("both", "both", "out", "in"))),
    )


def policies(most: int = 6) -> st.SearchStrategy[Policy]:
    """Policies of such rules."""
    return st.lists(rules(), max_size=most).map(lambda found: Policy("p", tuple(found)))
