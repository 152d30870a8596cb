"""Circuit bandwidths on offer and their words."""

from __future__ import annotations

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
