"""Faults of links: carrier lost, frames lost silently or harmed. Pure: a model in, the harmed model out."""

from __future__ import annotations

from dataclasses import dataclass, replace

from edge.errors import UsageError
from edge.net.objects.base import Endpoint
from edge.net.objects.frames import Impairment
from lab.faults.model import Phases
from lab.faults.ranges import PERCENT, SOME_PART, SOME_RATE, SOME_SEED, Between
from lab.faults.targets import end_at, links_of, nodes_at
from lab.faults.units import DURATION, NODE, PART, RATE, SEED, Options, one_of, option, required
from lab.model import LabModel, LinkImpairment
from lab.topology.names import digest

ALL = 10**6
"""All frames, in millionths."""

SEED_BITS = 63
"""As of the impairments of a topology file: JSON readers and netem keep that many."""

SHORTEST_FLAP_S = 1.0
"""Shortest time of one flap, up and down: each change is read back from the kernel."""

_AT = "Node whose port is shut, so that the other end loses its carrier; the far end when left out."
_TOWARDS = "Only frames on their way to this end of the link, a node; both ways when left out."
_SEED = "Another seed harms other frames, with the same statistics."


@dataclass(frozen=True, slots=True)
class Cut(Options):
    """Options of link-down."""

    at: str = option(NODE, "", _AT)


@dataclass(frozen=True, slots=True)
class Silent(Options):
    """silent has none."""


@dataclass(frozen=True, slots=True)
class OneWay(Options):
    """Options of one-way."""

    towards: str = required(NODE, "The end of the link, a node, that no frame reaches any more.")


@dataclass(frozen=True, slots=True)
class Loss(Options):
    """Options of loss."""

    part: int = option(PART, "5%", "Part of the frames that are lost.", SOME_PART)
    towards: str = option(NODE, "", _TOWARDS)
    seed: int = option(SEED, 0, _SEED, SOME_SEED)


@dataclass(frozen=True, slots=True)
class Delay(Options):
    """Options of delay."""

    by: float = option(
        DURATION, "50ms", "How much longer each frame is on its way.", Between(0.001, 2.0, 0.001)
    )
    jitter: float = option(
        DURATION,
        0.0,
        "That is up to this much shorter or longer; frames keep their order.",
        Between(0.001, 0.2, 0.001),
    )
    towards: str = option(NODE, "", _TOWARDS)
    seed: int = option(SEED, 0, _SEED, SOME_SEED)


@dataclass(frozen=True, slots=True)
class Reorder(Options):
    """Options of reorder."""

    part: int = option(PART, "10%", "Part of the frames that overtake the others.", SOME_PART)
    by: float = option(DURATION, "10ms", "How long the others are held up.", Between(0.001, 0.2, 0.001))
    towards: str = option(NODE, "", _TOWARDS)
    seed: int = option(SEED, 0, _SEED, SOME_SEED)


@dataclass(frozen=True, slots=True)
class Duplicate(Options):
    """Options of duplicate."""

    part: int = option(PART, "5%", "Part of the frames that arrive twice.", SOME_PART)
    towards: str = option(NODE, "", _TOWARDS)
    seed: int = option(SEED, 0, _SEED, SOME_SEED)


@dataclass(frozen=True, slots=True)
class Slow(Options):
    """Options of slow."""

    rate: int = option(RATE, "10M", "Bits per second of the wire; its queue holds 100 ms.", SOME_RATE)
    towards: str = option(NODE, "", _TOWARDS)


@dataclass(frozen=True, slots=True)
class Flap(Options):
    """Options of flap."""

    period: float = option(
        DURATION, "4s", "Time from one fall to the next, 1s at least.", Between(1.0, 4.0, 0.1)
    )
    down: int = option(
        PART, "50%", "Part of it that the link is down.", Between(10 * PERCENT, 90 * PERCENT, PERCENT)
    )
    how: str = option(one_of("carrier", "silent"), "carrier", "What it loses: its carrier, or only frames.")
    at: str = option(NODE, "", _AT)


def down(model: LabModel, ends: tuple[Endpoint, ...]) -> LabModel:
    """The model with these devices administratively down."""
    return replace(model, down=(*model.down, *(at for at in ends if at not in model.down)))


def cut(model: LabModel, target: str, options: Cut, phase: int) -> LabModel:
    """One end's port is shut: the other end has no carrier, as when a cable is pulled there."""
    links = links_of(model, target)
    return down(model, tuple(end_at(model, link, options.at)[0] if options.at else link.b for link in links))


def silent(model: LabModel, target: str, options: Silent, phase: int) -> LabModel:
    """No frame passes in either direction; both ends keep their carrier."""
    return _harm(model, target, "", 0, Impairment(_NOWHERE, 0, loss_ppm=ALL))


def one_way(model: LabModel, target: str, options: OneWay, phase: int) -> LabModel:
    """No frame passes in one direction, as when one fibre of two is dirty."""
    return _harm(model, target, options.towards, 0, Impairment(_NOWHERE, 0, loss_ppm=ALL))


def loss(model: LabModel, target: str, options: Loss, phase: int) -> LabModel:
    """Some frames are lost, the same ones at each run."""
    return _harm(model, target, options.towards, options.seed, Impairment(_NOWHERE, 0, loss_ppm=options.part))


def delay(model: LabModel, target: str, options: Delay, phase: int) -> LabModel:
    """Frames are on their way for longer. Raises UsageError for more jitter than delay."""
    if options.jitter > options.by:
        least = DURATION.show(options.jitter)
        raise UsageError(
            f"a jitter of {least} is more than the delay of {DURATION.show(options.by)}; "
            f"write --by {least} at least: nothing arrives before it was sent"
        )
    harm = Impairment(_NOWHERE, 0, delay_ns=_ns(options.by), jitter_ns=_ns(options.jitter))
    return _harm(model, target, options.towards, options.seed, harm)


def reorder(model: LabModel, target: str, options: Reorder, phase: int) -> LabModel:
    """Some frames overtake others. Raises UsageError where none waits."""
    if not _ns(options.by):
        raise UsageError("only frames that wait can be overtaken; write --by 10ms, say")
    harm = Impairment(_NOWHERE, 0, delay_ns=_ns(options.by), reorder_ppm=options.part)
    return _harm(model, target, options.towards, options.seed, harm)


def duplicate(model: LabModel, target: str, options: Duplicate, phase: int) -> LabModel:
    """Some frames arrive twice."""
    harm = Impairment(_NOWHERE, 0, duplicate_ppm=options.part)
    return _harm(model, target, options.towards, options.seed, harm)


def slow(model: LabModel, target: str, options: Slow, phase: int) -> LabModel:
    """The wire is slower than what is sent through it."""
    return _harm(model, target, options.towards, 0, Impairment(_NOWHERE, 0, rate_bps=options.rate))


def flap(model: LabModel, target: str, options: Flap, phase: int) -> LabModel:
    """Phase 0: the link is down; phase 1: it is well."""
    if options.period < SHORTEST_FLAP_S or not 0 < options.down < ALL:
        raise UsageError(
            "a link flaps with a period of 1s at least, down for more than 0% and less than 100%"
        )
    harmed = (
        silent(model, target, Silent(), 0)
        if options.how == "silent"
        else cut(model, target, Cut(options.at), 0)
    )
    return harmed if phase == 0 else model


def flapping(options: Flap) -> Phases:
    """Down, up, and again."""
    low_s = options.period * options.down / ALL
    return Phases((low_s, options.period - low_s), repeat=True)


_NOWHERE = Endpoint("", "")


def _ns(seconds: float) -> int:
    return round(seconds * 1e9)


def _harm(model: LabModel, target: str, towards: str, seed: int, harm: Impairment) -> LabModel:
    """The model with `harm` added to whatever harms the links of the target already.

    Two harms of one direction add up as two bad wires behind each other do.
    """
    found = {item.impairment.at: item for item in model.impairments}
    for link in links_of(model, target):
        ways = zip((link.b, link.a), nodes_at(model, link), strict=True)
        # To hand over a name that is no end of the link is a mistake that end_at tells of.
        only = end_at(model, link, towards)[1] if towards else None
        for sender, receiver in ways:
            if only not in (None, sender):
                continue
            before = found.get(sender)
            if before is None:
                own = digest(f"{seed} {link.name} {receiver}", SEED_BITS)
                found[sender] = LinkImpairment(link.name, receiver, replace(harm, at=sender, seed=own))
            else:
                found[sender] = replace(before, impairment=_both(before.impairment, harm))
    return replace(model, impairments=tuple(found.values()))


def _both(one: Impairment, other: Impairment) -> Impairment:
    rates = [rate for rate in (one.rate_bps, other.rate_bps) if rate is not None]
    return replace(
        one,
        delay_ns=one.delay_ns + other.delay_ns,
        jitter_ns=one.jitter_ns + other.jitter_ns,
        loss_ppm=_either(one.loss_ppm, other.loss_ppm),
        duplicate_ppm=_either(one.duplicate_ppm, other.duplicate_ppm),
        reorder_ppm=_either(one.reorder_ppm, other.reorder_ppm),
        rate_bps=min(rates, default=None),
    )


def _either(one: int, other: int) -> int:
    """Millionths in which at least one of two independent things happens."""
    return ALL - (ALL - one) * (ALL - other) // ALL
