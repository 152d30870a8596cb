"""What Azure would show, from what routers count: availability, the private-peering test, sites that fail."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from lab.service.locations import sites
from lab.service.resources import PATHS, Path, PortLink
from lab.service.state import State

TestVerdict = Literal["healthy", "azure-does-not-return", "customer-does-not-return", "nothing-arrives"]


def availability(up: bool) -> int:
    """ArpAvailability and BgpAvailability of one peer, in percent (facts 10.5)."""
    return 100 if up else 0


def line_protocol(link: PortLink) -> int:
    """LineProtocol of a Direct link: 0 when it is disabled (facts 10.5)."""
    return int(link.admin_state == "Enabled")


def private_peering_test(received: int, sent: int) -> TestVerdict:
    """What the counts of one MSEE mean (facts 10.6). received: from the customer's side, sent: back to it."""
    if received and sent:
        return "healthy"
    if received:
        return "azure-does-not-return"
    return "customer-does-not-return" if sent else "nothing-arrives"


def links_left(state: State, failed_site: str) -> Iterator[tuple[str, Path]]:
    """(circuit, path) of every link whose site still stands (facts 7).

    A standard circuit has both links in one site, a Metro circuit one in each of two.
    """
    for circuit in state.circuits.values():
        for path, site in zip(PATHS, sites(circuit.location, circuit.metro), strict=True):
            if site != failed_site:
                yield circuit.name, path
