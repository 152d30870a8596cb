"""Circuit bandwidths on offer and their words; how many circuits a port pair of Direct carries."""

from __future__ import annotations

from lab.service.refusal import Refusal

BANDWIDTHS: dict[str, int] = {
    "50M": 50_000_000,
    "100M": 100_000_000,
    "200M": 200_000_000,
    "500M": 500_000_000,
    "1G": 1_000_000_000,
    "2G": 2_000_000_000,
    "5G": 5_000_000_000,
    "10G": 10_000_000_000,
}
"""Word -> bits per second and direction, for circuits through a provider (facts 2)."""

PROVIDER_MBPS = tuple(rate // 1_000_000 for rate in BANDWIDTHS.values())
"""The same as numbers, in the API's unit."""

DIRECT_GBPS: dict[int, tuple[int, ...]] = {
    10: (1, 2, 5, 10),
    100: (5, 10, 40, 100),
    400: (5, 10, 40, 100, 200, 400),
}
"""Speed of a Direct port pair -> sizes of circuits on it, both in Gbit/s (facts 1.3)."""

SIZES: dict[str, int] = {
    **BANDWIDTHS,
    **{f"{size}G": size * 1_000_000_000 for sizes in DIRECT_GBPS.values() for size in sizes},
}
"""Word -> bits per second of every circuit that is sold somewhere; which where, the rules below say."""

OVERSUBSCRIPTION = 2
"""How often a Direct port pair's speed may be sold to its circuits (facts 1.3: 20 Gbit/s on a 10G pair)."""


def word(mbps: int) -> str:
    """200 -> "200M", 10000 -> "10G"."""
    return f"{mbps // 1000}G" if mbps % 1000 == 0 else f"{mbps}M"


def refuse_provider_bandwidth(mbps: int) -> Refusal | None:
    """Whether a circuit of this bandwidth is sold through providers (facts 2)."""
    if mbps in PROVIDER_MBPS:
        return None
    return Refusal(
        "BandwidthNotOffered",
        f"circuits of {mbps} Mbit/s are not on offer",
        f"order one of {', '.join(BANDWIDTHS)}",
    )


def refuse_direct_bandwidth(mbps: int, port_gbps: int, others_mbps: int) -> Refusal | None:
    """Whether a port pair takes a circuit of `mbps` beside others that sum up to `others_mbps` (facts 1.3).

    Raises KeyError for a port speed that is not sold.
    """
    sizes = DIRECT_GBPS[port_gbps]
    if mbps not in [1000 * size for size in sizes]:
        return Refusal(
            "BandwidthNotOffered",
            f"a {port_gbps}G port pair has no circuits of {mbps} Mbit/s",
            f"order one of {', '.join(f'{size}G' for size in sizes)}",
        )
    room = 1000 * port_gbps * OVERSUBSCRIPTION
    if others_mbps + mbps > room:
        return Refusal(
            "PortSubscribed",
            f"{word(mbps)} more would make {(others_mbps + mbps) / 1000:g}G of circuits on a pair that "
            f"carries at most {room // 1000}G",
            f"order at most {word(room - others_mbps)}, or a second port pair"
            if room > others_mbps
            else "order a second port pair, or delete a circuit on this one",
        )
    return None
