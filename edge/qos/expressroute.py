"""What the service does with DSCP: the table of Microsoft peering, and the MSEE's knob (facts 6.1). Pure.

On private peering DSCP is carried unchanged and gives no priority in Microsoft's network.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from edge.qos.model import (
    DSCP_AF11,
    DSCP_AF21,
    DSCP_AF41,
    DSCP_CS0,
    DSCP_EF,
    Rule,
    Treatment,
)

Peering = Literal["microsoft", "private"]


@dataclass(frozen=True, slots=True)
class ServiceClass:
    """One row of the service's table: a DSCP, our class for it, and what it is for."""

    dscp: int
    class_name: str
    workload: str


TABLE = (
    ServiceClass(DSCP_EF, "voice", "Teams and Skype for Business voice"),
    ServiceClass(DSCP_AF41, "video", "video, video-based screen sharing"),
    ServiceClass(DSCP_AF21, "sharing", "application sharing"),
    ServiceClass(DSCP_AF11, "files", "file transfer"),
    ServiceClass(DSCP_CS0, "default", "everything else"),
)
"""The values that Microsoft peering knows, in both directions (facts 6.1, source `qos`)."""

ALLOWED = frozenset(row.dscp for row in TABLE)
"""What may leave towards Microsoft, and what comes from it. Anything else must be 0 (facts 6.1)."""

SKYPE_SERVER_MARKS: Mapping[int, int] = {24: DSCP_AF21, 14: DSCP_AF11}
"""The trap: Skype for Business Server marks application sharing 24 and file transfer 14 where ExpressRoute
accepts 18 and 10; a CE that does not mark anew loses the class (facts 6.2, `sfb-cl` against `qos`)."""

MseeKnob = Literal["pass", "remark", "drop"]

KNOBS: tuple[MseeKnob, ...] = ("pass", "remark", "drop")

DEFAULT_KNOB: MseeKnob = "remark"
"""What the MSEE does with a DSCP outside the table. The sources conflict: Microsoft's page says that the
customer must set 0, one vendor says that Microsoft drops (facts 6.1, **(C)**)."""

TREATMENT: Mapping[Peering, Treatment] = {"microsoft": "mark", "private": "steer"}
"""What a policy does on each peering (facts 6.1)."""


def at_msee(dscp: int, knob: MseeKnob = DEFAULT_KNOB) -> int | None:
    """The DSCP after the MSEE's ingress on a Microsoft peering; None when it drops the packet."""
    if dscp in ALLOWED or knob == "pass":
        return dscp
    return None if knob == "drop" else DSCP_CS0


def trust_rules() -> tuple[Rule, ...]:
    """Rules that keep a marking of the table: endpoints mark, too (facts 6.2, `teams-qos`: "do both").

    They ask for no port, so later fragments and encrypted payloads keep the class of their first fragment.
    """
    return tuple(
        Rule(f"marked-{row.class_name}", row.class_name, row.dscp, existing_dscp=(row.dscp,))
        for row in TABLE
        if row.dscp != DSCP_CS0
    )


def trap_rules() -> tuple[Rule, ...]:
    """Rules that turn the marks of Skype for Business Server into the service's (facts 6.2)."""
    classes = {row.dscp: row.class_name for row in TABLE}
    return tuple(
        Rule(f"skype-{before}-to-{after}", classes[after], after, existing_dscp=(before,))
        for before, after in SKYPE_SERVER_MARKS.items()
    )
