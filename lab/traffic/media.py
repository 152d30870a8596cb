"""What voice, video and sharing look like as packets: sizes, pace, RTP's clock and payload types. Pure.

Rates are those that Microsoft plans with (facts 6.2, `teams-net`): about 0.1 Mbit/s for voice and 4 Mbit/s
for video and for sharing in 1080p. How frames divide them is not published: 30 frames a second for video, 15
for sharing, a frame that stands alone every two seconds, four times as large as the others **(D)**.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from edge.fastpath.streamplan import NS_PER_S, RTP_OCTETS, Pattern, Slot
from lab.traffic.emodel import Codec

Medium = Literal["voice", "video", "sharing"]
MEDIA: tuple[Medium, ...] = ("voice", "video", "sharing")

MEDIA_RATE_BPS = 4_000_000
PACKET_OCTETS = 1200
"""The most that clients put into a packet of video, so that it fits into any tunnel."""

VIDEO_CLOCK_HZ = 90_000
"""RFC 3551 5; the payload types from 96 on are given out anew in each session."""

_GROUP_S = 2
_KEY_FRAME = 4
"""How many times as large a frame that stands alone is."""


@dataclass(frozen=True, slots=True)
class Voice:
    """How a codec goes over RTP: octets of a packet's payload, RTP's clock and payload type (RFC 3551 6)."""

    octets: int
    clock_hz: int
    payload_type: int


VOICES = {
    "g711": Voice(160, 8000, 0),
    "g711-plc": Voice(160, 8000, 0),
    "g729a": Voice(20, 8000, 18),
}
"""By the names of lab.traffic.emodel.CODECS; 64 and 8 kbit/s, 20 ms a packet."""

PAYLOAD_TYPES: dict[Medium, int] = {"video": 96, "sharing": 97}
_FRAMES_PER_S: dict[Medium, int] = {"video": 30, "sharing": 15}


def voice_pattern(name: str, codec: Codec) -> Pattern:
    """One packet of a codec each `packet_ms`."""
    voice = VOICES[name]
    return Pattern(
        codec.packet_ms * 1_000_000,
        (Slot(0, RTP_OCTETS + voice.octets),),
        clock=voice.clock_hz * codec.packet_ms // 1000,
    )


def frames_pattern(medium: Medium, rate_bps: int = MEDIA_RATE_BPS) -> Pattern:
    """Two seconds of frames. A frame's packets leave together, as an encoder gives it; the last is marked."""
    frames = _FRAMES_PER_S[medium] * _GROUP_S
    share = rate_bps * _GROUP_S // 8 // (frames - 1 + _KEY_FRAME)
    slots: list[Slot] = []
    for frame in range(frames):
        left = share * _KEY_FRAME if frame == 0 else share
        clock = frame * VIDEO_CLOCK_HZ // _FRAMES_PER_S[medium]
        packets = -(-left // (PACKET_OCTETS - RTP_OCTETS))
        for number in range(packets):
            # As even as can be: no packet is shorter than another by more than one octet.
            octets = RTP_OCTETS + left * (number + 1) // packets - left * number // packets
            slots.append(Slot(frame * _GROUP_S * NS_PER_S // frames, octets, clock, number == packets - 1))
    return Pattern(_GROUP_S * NS_PER_S, tuple(slots), clock=VIDEO_CLOCK_HZ * _GROUP_S)


def pattern_of(medium: Medium, codec_name: str, codec: Codec) -> Pattern:
    """What a stream of the medium sends; the codec is that of voice."""
    return voice_pattern(codec_name, codec) if medium == "voice" else frames_pattern(medium)


def payload_type_of(medium: Medium, codec_name: str) -> int:
    """RTP's payload type of the medium."""
    return VOICES[codec_name].payload_type if medium == "voice" else PAYLOAD_TYPES[medium]
