"""What a storm draws an option's value from: data beside the option, so that every kind says its own. Pure.

A range harms and is outlived: whatever is drawn, the lab is as before once the fault is healed.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from lab.service.limits import MICROSOFT_PREFIXES, PRIVATE_IPV4_PREFIXES, PRIVATE_IPV6_PREFIXES

Drawn = int | float | str


@dataclass(frozen=True, slots=True)
class Between:
    """From low to high, both included, in whole steps from low; in the base of the option's unit.

    (Seconds, millionths, bits per second.)
    """

    low: float
    high: float
    step: float = 1

    def draw(self, chance: Random) -> Drawn:
        """One value."""
        steps = round((self.high - self.low) / self.step)
        value = self.low + chance.randint(0, steps) * self.step
        # Steps of a float add up to 0.30000000000000004.
        return value if isinstance(value, int) else round(value, 9)

    def corners(self) -> tuple[Drawn, ...]:
        """The outermost values."""
        return (self.low, self.high)


@dataclass(frozen=True, slots=True)
class AnyOf:
    """One of these."""

    values: tuple[Drawn, ...]

    def draw(self, chance: Random) -> Drawn:
        """One value."""
        return chance.choice(self.values)

    def corners(self) -> tuple[Drawn, ...]:
        """All of them."""
        return self.values


Range = Between | AnyOf

PERCENT = 10_000
"""In millionths, as parts are kept."""

MBPS = 10**6

SOME_PART = Between(1 * PERCENT, 60 * PERCENT, PERCENT)
"""Enough to be seen, and some frames always pass: what loses all of them is `silent`."""

SOME_RATE = Between(1 * MBPS, 200 * MBPS, MBPS)
"""From the least that BGP and BFD of a whole lab need, to the bandwidth of a circuit (facts 1.2)."""

SOME_SEED = Between(0, 2**31 - 1)

_LIMITS = sorted({PRIVATE_IPV6_PREFIXES, MICROSOFT_PREFIXES, *PRIVATE_IPV4_PREFIXES.values()})
PREFIX_COUNTS = AnyOf(tuple(count for limit in _LIMITS for count in (limit, limit + 1)))
"""Each limit of a session, and one more (facts 2.2, 3.5)."""

SPARE_PREFIXES = AnyOf(("10.192.0.0/10", "198.18.0.0/15", "fd77::/32", "fd78::/32"))
"""Prefixes that no lab of the gallery uses: private ones, and those for benchmarks (RFC 2544)."""

MD5_KEYS = AnyOf(("a", "wr0ngkey", "abcdefghijklmnopqrstuvwxy"))
"""Letters and digits, 1 to 25 of them (facts 3.2)."""

VLAN_IDS = Between(2, 4094)
"""IEEE 802.1Q without 1, which bridges use for frames without a tag."""
