"""All drills: one row each. `edgelab drill --list` and docs/drills.md are made from it."""

from __future__ import annotations

from lab.drills.model import Aim, Drill

CARRIER = Aim(0.05, "carrier seen at both ends: issue's aim, 50 ms")
BFD = Aim(1.0, "BFD at 300 ms x 3 (facts 4): below 1 s")
HOLD_SHORT = Aim(11.0, "hold time 10 s (facts 4)")
HOLD_LONG = Aim(185.0, "hold time 180 s (facts 4)")
CRASH = Aim(3.0, "the software starts again and connects again, without graceful restart (facts 4)")
NO_LOSS = Aim(0.0, "maintenance announces itself before forwarding stops (facts 4, 7)")
VPN = Aim(10.0, "VPN backup switched in under 10 s (facts 7)")
LASTS = Aim(None, "nothing protects against it")

PRIMARY = ("ams-primary",)
AMSTERDAM = ("equinix-amsterdam", "msee1-amsterdam", "msee2-amsterdam")
"""All that stands at the peering location of the topology `metro`."""

DRAIN = "3s"
"""How long a maintained MSEE forwards after its announcement. In the field it is minutes."""

_TABLE = (
    Drill(
        "carrier-loss",
        "A cable is pulled, and the provider passes the loss on to Microsoft (link-loss forwarding).",
        "forwarding",
        "link-down",
        ("ams/primary",),
        CARRIER,
        PRIMARY,
    ),
    Drill(
        "carrier-loss-exchange",
        "A cable is pulled at a cloud exchange: the edge sees it at once, Microsoft by BFD.",
        "exchange",
        "link-down",
        ("ams/primary",),
        BFD,
        PRIMARY,
    ),
    Drill(
        "silent-bfd",
        "No frame passes the primary, its carrier stays; BFD tells.",
        "exchange",
        "silent",
        ("ams/primary",),
        BFD,
        PRIMARY,
    ),
    Drill(
        "daemon-crash",
        "The routing software of the edge that carries the traffic dies and is started again.",
        "exchange",
        "crash",
        ("ce1",),
        CRASH,
        PRIMARY,
    ),
    Drill(
        "maintenance",
        "Microsoft maintains the primary: eight prepends, then forwarding stops while BGP stays up.",
        "exchange",
        "maintenance",
        ("ams/primary",),
        NO_LOSS,
        PRIMARY,
        options={"drain": DRAIN},
        at_least_s=5.0,
    ),
    Drill(
        "maintenance-ignored",
        "The same, and the edges prefer the primary by local preference, whatever its AS path says.",
        "exchange-preferred",
        "maintenance",
        ("ams/primary",),
        LASTS,
        PRIMARY,
        options={"drain": DRAIN},
        at_least_s=6.0,
    ),
    Drill(
        "silent-3-10",
        "No frame passes the primary, there is no BFD; BGP's timers are 3 and 10 s.",
        "exchange-3-10",
        "silent",
        ("ams/primary",),
        HOLD_SHORT,
        PRIMARY,
        deadline_s=30.0,
        at_least_s=3.0,
    ),
    Drill(
        "silent-60-180",
        "No frame passes the primary, there is no BFD; BGP's timers are 60 and 180 s.",
        "exchange-60-180",
        "silent",
        ("ams/primary",),
        HOLD_LONG,
        PRIMARY,
        deadline_s=240.0,
        at_least_s=3.0,
        long=True,
    ),
    Drill(
        "site-down",
        "A whole peering location is down, and the only circuit ends there.",
        "metro",
        "node-down",
        AMSTERDAM,
        LASTS,
        ("standard-primary", "standard-secondary"),
        source="pc-standard",
        target_host="vm-standard",
        at_least_s=4.0,
    ),
    Drill(
        "metro",
        "The same, and a Metro circuit's secondary ends in the city's second location.",
        "metro",
        "node-down",
        AMSTERDAM,
        BFD,
        ("high-primary",),
        source="pc-high",
        target_host="vm-high",
    ),
    Drill(
        "two-circuits",
        "The same, and a second circuit ends in another city.",
        "metro",
        "node-down",
        AMSTERDAM,
        BFD,
        ("ams-primary", "ams-secondary"),
        source="pc-maximum",
        target_host="vm-maximum",
    ),
    Drill(
        "vpn-backup",
        "Both connections of the only circuit are cut; an IPsec VPN takes over.",
        "vpn-backup",
        "link-down",
        ("ams",),
        VPN,
        ("ams-primary", "ams-secondary"),
        deadline_s=60.0,
    ),
    Drill(
        "direct-carrier-loss",
        "A cable between an edge and a port of ExpressRoute Direct is pulled.",
        "direct",
        "link-down",
        ("pair1-primary",),
        CARRIER,
        ("pair1-primary",),
    ),
)

DRILLS: dict[str, Drill] = {drill.name: drill for drill in _TABLE}
"""By name, in the order in which they run: those of one lab together."""
