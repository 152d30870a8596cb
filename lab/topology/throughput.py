"""What a virtual network's gateway passes on: the rate and the packets of its SKU (facts 10.1).

Each of its two instances passes half ("half throughput" of what goes through one of them; an upgrade takes
one at a time, with lower throughput: facts 7). The facts do not say whether both directions share the rate:
here each direction has it, as on a circuit. FastPath goes around the gateway, and so around its limits.
"""

from __future__ import annotations

from edge.model import RateCap
from lab.service.limits import gateway_size
from lab.service.resources import Gateway
from lab.topology import names

INSTANCES = 2

INTO, OUT = "capped_in", "capped_out"
"""Counters of what a gateway dropped for its rate, on the way into Azure and out of it."""


def gateway_caps(gateway: Gateway) -> tuple[RateCap, ...]:
    """What one instance passes: to the machines, and to the circuits."""
    size = gateway_size(gateway.sku, gateway.units)
    rate_bps, packets_per_s = size.rate_bps // INSTANCES, size.packets_per_s // INSTANCES
    return (
        RateCap(names.VNET_BRIDGE, rate_bps, packets_per_s, INTO),
        RateCap(names.GATEWAY_BRIDGE, rate_bps, packets_per_s, OUT),
    )
