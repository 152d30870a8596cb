"""How a call sounds: the E-model of ITU-T G.107 (06/2015), its rating R and the MOS that belongs to it. Pure.

    R = Ro - Is - Id - Ie,eff + A                                     (G.107, equation 7-1)

Ro is the signal against all noise, Is what goes along with the speech, Id what delay and echo do, Ie,eff what
the codec and lost packets do, A what a listener forgives. All inputs have the defaults of G.107's table 2,
which stand for a connection without any fault of its own; a lab changes delay and loss.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

R_TO_MOS_MAX = 4.5


@dataclass(frozen=True, slots=True)
class Codec:
    """A codec as ITU-T G.113 Appendix I rates it.

    impairment: Ie, without loss. robustness: Bpl, the greater the better it hides a lost packet.
    delay_ms: of coding and packetization, with the look-ahead, for one packet of `packet_ms`.
    """

    name: str
    impairment: float
    robustness: float
    packet_ms: int
    delay_ms: float


G711 = Codec("G.711", 0, 4.3, 20, 20)
G711_PLC = Codec("G.711 with concealment", 0, 25.1, 20, 20)
G729A = Codec("G.729A with VAD", 11, 19, 20, 25)
"""G.113 (2007) Appendix I, tables I.1 and I.3; delays by G.114 (2003) Appendix I."""

CODECS = {"g711": G711, "g711-plc": G711_PLC, "g729a": G729A}


@dataclass(frozen=True, slots=True)
class Connection:
    """A connection in the terms of G.107's table 2, in its units and with its default values.

    Levels in dB and dBm, times in ms, losses in percent. delay_ms: Ta, one way from mouth to ear; the
    talker's echo comes after mean_delay_ms (T) and the listener's after round_trip_ms (Tr). burst_ratio:
    BurstR, how much longer bursts of loss are than by chance.
    """

    slr: float = 8
    rlr: float = 2
    stmr: float = 15
    d_send: float = 3
    d_receive: float = 3
    telr: float = 65
    wepl: float = 110
    mean_delay_ms: float = 0
    round_trip_ms: float = 0
    delay_ms: float = 0
    qdu: float = 1
    codec_impairment: float = 0
    robustness: float = 4.3
    loss_percent: float = 0
    burst_ratio: float = 1
    circuit_noise: float = -70
    floor_noise: float = -64
    room_send: float = 35
    room_receive: float = 35
    advantage: float = 0
    least_delay_ms: float = 100
    delay_sensitivity: float = 1


def over_a_network(
    codec: Codec, network_delay_ms: float, buffer_ms: float, loss_percent: float, burst_ratio: float = 1.0
) -> Connection:
    """A call of that codec through a network: one-way delay of packets, of the jitter buffer, packets lost.

    There is no echo in it (telephones and clients cancel it), so delays count by making talk difficult.
    """
    delay_ms = codec.delay_ms + network_delay_ms + buffer_ms
    return Connection(
        mean_delay_ms=delay_ms,
        round_trip_ms=2 * delay_ms,
        delay_ms=delay_ms,
        codec_impairment=codec.impairment,
        robustness=codec.robustness,
        loss_percent=loss_percent,
        burst_ratio=burst_ratio,
    )


def rating(c: Connection) -> float:
    """R: 93.2 with all defaults; 100 is perfect, below 50 nobody should be asked to bear it (G.109)."""
    noise = _noise(c)
    ro = 15 - 1.5 * (c.slr + noise)
    return ro - _simultaneous(c, ro, noise) - _delay(c, ro, noise) - _equipment(c) + c.advantage


def mos(r: float) -> float:
    """The mean opinion score, 1 to 4.5, of a rating (G.107 Annex B, equation B-4)."""
    if r <= 0:
        return 1.0
    if r >= 100:
        return R_TO_MOS_MAX
    # Below some R of 6.5 the polynomial falls under 1, which no opinion can.
    return max(1.0, 1 + 0.035 * r + r * (r - 60) * (100 - r) * 7e-6)


def _noise(c: Connection) -> float:
    """No: all noise as one level, dBm0p at the 0 dBr point (7.2)."""
    olr = c.slr + c.rlr
    room_send = c.room_send - c.slr - c.d_send - 100 + 0.004 * (c.room_send - olr - c.d_send - 14) ** 2
    sidetone = 10 * math.log10(1 + 10 ** ((10 - (c.stmr + c.d_receive)) / 10))
    effective = c.room_receive + sidetone
    room_receive = c.rlr - 121 + effective + 0.008 * (effective - 35) ** 2
    levels = (c.circuit_noise, room_send, room_receive, c.floor_noise + c.rlr)
    return 10 * math.log10(sum(10 ** (level / 10) for level in levels))


def _simultaneous(c: Connection, ro: float, noise: float) -> float:
    """Is: too loud, bad sidetone, quantizing (7.3)."""
    x = c.slr + c.rlr + 0.2 * (64 + noise - c.rlr)
    too_loud = 20 * (_norm(1, x / 8, 8) - x / 8)
    q = 37 - 15 * math.log10(c.qdu)
    g = 1.07 + 0.258 * q + 0.0602 * q**2
    y = (ro - 100) / 15 + 46 / 8.4 - g / 9
    z = 46 / 30 - g / 40
    quantizing = 15 * math.log10(1 + 10**y + 10**z)
    return too_loud + _sidetone(c) + quantizing


def _norm(first: float, second: float, power: float) -> float:
    """(first^p + second^p)^(1/p): the form of most of G.107's terms."""
    return math.pow(math.pow(first, power) + math.pow(second, power), 1 / power)


def _sidetone(c: Connection) -> float:
    """Ist: what one hears of oneself is too loud or too weak, early echo included (7.3.2)."""
    echo = math.exp(-c.mean_delay_ms / 4) * 10 ** (-c.telr / 10)
    stmr = -10 * math.log10(10 ** (-c.stmr / 10) + echo)
    return (
        12 * _norm(1, (stmr - 13) / 6, 8)
        - 28 * _norm(1, (stmr + 1) / 19.4, 35)
        - 13 * _norm(1, (stmr - 3) / 33, 13)
        + 29
    )


def _delay(c: Connection, ro: float, noise: float) -> float:
    """Id: the talker's echo, the listener's, and delay alone (7.4)."""
    alone = delay_alone(c.delay_ms, c.least_delay_ms, c.delay_sensitivity)
    rle: float = 10.5 * (c.wepl + 7) * (c.round_trip_ms + 1) ** -0.25
    listener = (ro - rle) / 2 + math.sqrt((ro - rle) ** 2 / 4 + 169)
    return _talker_echo(c, noise) + listener + alone


def _talker_echo(c: Connection, noise: float) -> float:
    """Idte, with what G.107 adds for a sidetone below 9 dB and above 20 dB (7.4, equations 7-19 to 7-22)."""
    t = c.mean_delay_ms
    terv: float = c.telr - 40 * math.log10((1 + t / 10) / (1 + t / 150)) + 6 * math.exp(-0.3 * t**2)
    if c.stmr < 9:
        terv += _sidetone(c) / 2
    roe, re = -1.5 * (noise - c.rlr), 80 + 2.5 * (terv - 14)
    echo: float = ((roe - re) / 2 + math.sqrt((roe - re) ** 2 / 4 + 100) - 1) * (1 - math.exp(-t))
    return math.hypot(echo, _sidetone(c)) if c.stmr > 20 else echo


def delay_alone(delay_ms: float, least_ms: float = 100, sensitivity: float = 1) -> float:
    """Idd: delay without any echo; nothing up to least_ms, mT (7.4, equation 7-27)."""
    if delay_ms <= least_ms:
        return 0.0
    x = math.log2(delay_ms / least_ms)
    power = 6 * sensitivity
    return 25 * (_norm(1, x, power) - 3 * _norm(1, x / 3, power) + 2)


def _equipment(c: Connection) -> float:
    """Ie,eff: the codec, and packets lost at random or in bursts (7.5, equation 7-29)."""
    lost = c.loss_percent
    return c.codec_impairment + (95 - c.codec_impairment) * lost / (lost / c.burst_ratio + c.robustness)
