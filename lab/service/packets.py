"""What the service does to packets, as decisions: sizes, rates, sources, classes. No packet is here."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from edge.model import IP_MTU, Address, Network
from lab.model import PeeringName
from lab.service.limits import FASTPATH_ADDRESSES
from lab.service.resources import Circuit, MacSec, Peering, PortPair

GATEWAY_MTU = 1400
"""Largest packet that a gateway passes, in octets (facts 10.1)."""

RATE_TOLERANCE = 0.2
"""How far a link on Direct may exceed its circuit's bandwidth before it is clamped (facts 10.4)."""

MICROSOFT_DSCP: dict[int, str] = {
    46: "voice",
    34: "interactive",
    18: "interactive",
    10: "default",
    0: "default",
}
"""DSCP that a Microsoft peering knows, with the class (facts 6.1)."""

NOT_OVER_EXPRESSROUTE = (
    *("cdn", "front-door", "legacy-mfa-server", "traffic-manager", "logic-apps", "intune"),
    *("dns", "crl-ocsp", "microsoft-365-apps-download", "on-premises-idp", "21vianet"),
)
"""What stays on the Internet whatever is ordered (facts 8)."""


def at_gateway(
    octets: int, fragment: bool, fastpath: bool, may_fragment: bool = False
) -> Literal["pass", "too-big", "drop"]:
    """What happens at the gateway hop (facts 10.1): FastPath goes around it, fragments do not pass.

    may_fragment: an IPv4 packet that does not forbid it; a gateway makes no fragments either. too-big:
    dropped, and an ICMP message tells the sender to use 1400.
    """
    if fastpath:
        return "pass" if octets <= IP_MTU else "too-big"
    if fragment:
        return "drop"
    if octets <= GATEWAY_MTU:
        return "pass"
    return "drop" if may_fragment else "too-big"


def fastpath_limit(circuit: Circuit, port: PortPair | None) -> int:
    """How many addresses may skip the gateways (facts 2.2); `port` is the circuit's, if it is on Direct."""
    return FASTPATH_ADDRESSES["provider" if port is None else f"{port.bandwidth_gbps}G"]


def on_fastpath(addresses: Iterable[Address], limit: int) -> tuple[frozenset[Address], frozenset[Address]]:
    """(those that skip the gateway, those that come too late and go through it) (facts 10.1)."""
    known = list(dict.fromkeys(addresses))
    return frozenset(known[:limit]), frozenset(known[limit:])


def may_enter(peering: Peering, source: Address) -> bool:
    """Whether Microsoft lets a packet with this source in: the advertised prefixes are an ACL (3.4)."""
    allowed: list[Network] = [one.prefix for one in peering.microsoft.prefixes] if peering.microsoft else []
    return any(source.version == one.version and source in one for one in allowed)


def carried_mbps(offered_mbps: float, limit_mbps: int, tolerance: float = 0.0) -> float:
    """What passes of an offered rate on one link and direction (facts 2, 10.4).

    Above the limit and its tolerance the link is clamped to the limit itself. Direct ports have
    RATE_TOLERANCE where limiting is on; a provider's throttle has none.
    """
    return offered_mbps if offered_mbps <= limit_mbps * (1 + tolerance) else float(limit_mbps)


def dscp_at_msee(
    peering: PeeringName, dscp: int, unlisted: Literal["pass", "remark", "drop"] = "remark"
) -> int | None:
    """The DSCP behind the MSEE, None when the packet is dropped (facts 6.1).

    Private peerings carry every value unchanged. On Microsoft peerings unlisted values are rewritten to 0
    unless the setting says otherwise.
    """
    if peering == "private" or dscp in MICROSOFT_DSCP or unlisted == "pass":
        return dscp
    return 0 if unlisted == "remark" else None


def link_carries(admin_state: str, microsoft: MacSec | None, customer: MacSec | None) -> bool:
    """Whether a Direct link carries any frame: enabled, and both ends with the same MACsec or none (9).

    There is no fall-back to clear text: with unequal keys not even ARP passes.
    """
    return admin_state == "Enabled" and microsoft == customer
