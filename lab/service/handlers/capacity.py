"""Quotas of subscriptions, and what providers' ports to Microsoft carry."""

from __future__ import annotations

from lab.service import limits
from lab.service.refusal import Refusal
from lab.service.resources import Quota
from lab.service.state import State

DEFAULT_QUOTA = Quota(limits.CIRCUITS_PER_SUBSCRIPTION, limits.CIRCUITS_PER_REGION)


def refuse_quota(state: State, subscription: str, region: str) -> Refusal | None:
    """Whether a subscription may have one more circuit in a region (facts 2.2)."""
    quota = state.quotas.get(subscription, DEFAULT_QUOTA)
    own = [one for one in state.circuits.values() if one.scope.subscription == subscription]
    for what, count, most in (
        ("", len(own), quota.circuits),
        (f" in {region}", sum(one.region == region for one in own), quota.circuits_per_region),
    ):
        if count >= most:
            return Refusal(
                "QuotaCircuits",
                f"subscription {subscription} has {count} circuits{what}, as many as it may",
                "delete one, or ask Microsoft for a larger quota",
            )
    return None


def port_name(provider: str, location: str) -> str:
    """Name of a provider's port pair at a location."""
    return f"{provider} {location}"


def used_mbps(state: State, provider: str, location: str) -> int:
    """`usedBandwidthInMbps` of a provider's port pair (facts 2)."""
    return sum(
        one.bandwidth_mbps
        for one in state.circuits.values()
        if (one.provider, one.location) == (provider, location)
    )


def refuse_capacity(state: State, provider: str, location: str, more_mbps: int) -> Refusal | None:
    """Whether a provider's port takes more; one that nobody described takes everything (facts 2)."""
    port = state.provider_ports.get(port_name(provider, location))
    if port is None:
        return None
    left = port.bandwidth_mbps * port.overprovision_factor - used_mbps(state, provider, location)
    if more_mbps <= left:
        return None
    return Refusal(
        "ProviderPortFull",
        f"the port of {provider} at {location} has {left} Mbit/s left and {more_mbps} more are asked for",
        "order a new circuit over another provider or location",
    )
