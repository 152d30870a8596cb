"""How soon a silent neighbour is noticed: BGP timers and BFD as two ends agree on them."""

from __future__ import annotations

from edge.model import Bfd, Timers

MICROSOFT_TIMERS = Timers()
"""Keepalive 60 s, hold 180 s, fixed on Microsoft's side (facts 4)."""

MICROSOFT_BFD = Bfd()
"""300 ms, three times (facts 4)."""


def agreed_hold_s(customer_s: int) -> int:
    """The hold time in use, in seconds: the lower of both ends' (facts 4, RFC 4271 4.2)."""
    return min(customer_s, MICROSOFT_TIMERS.hold_s)


def agreed_bfd_ms(customer_ms: int, microsoft_ms: int = MICROSOFT_BFD.interval_ms) -> int:
    """The BFD interval in use, in milliseconds: the slower side wins (facts 4, RFC 5880 6.8.7)."""
    return max(customer_ms, microsoft_ms)


def detection_s(hold_s: int, bfd_ms: int | None, msee_bfd: bool = True) -> float:
    """Seconds until a dead link ends the session; bfd_ms is None where the customer runs no BFD (4).

    msee_bfd: False on a peering of before BFD that was never reset; then BGP's own timer has to find out.
    """
    if bfd_ms is not None and msee_bfd:
        return agreed_bfd_ms(bfd_ms) * MICROSOFT_BFD.multiplier / 1000
    return float(agreed_hold_s(hold_s))
