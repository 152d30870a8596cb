"""What the file may say about checks that send packets of their own between two hosts."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Annotated, Literal

from pydantic import Field, PlainValidator, Strict, WithJsonSchema, model_validator

from lab.topology.links_schema import Duration, Part100, bits_per_second, millionths, nanoseconds
from lab.topology.part import Part
from lab.topology.qos_schema import ClassName
from lab.topology.values import Ethertype, VlanId, refuse, show

MOST_PERCENT = 1000
"""More of a circuit's bandwidth nobody can mean."""

LONGEST_RUN_S = 60
"""How long the packets of a budget may take: a check is no load test."""

Pair = Annotated[tuple[str, str], Strict(False)]


def _share(value: object) -> str:
    text = value.replace(" ", "") if isinstance(value, str) else ""
    found = re.fullmatch(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)(%|[kKmMgG](?:bps|bit/s|b/s)?)", text)
    if found is None:
        if isinstance(value, int | float) and not isinstance(value, bool):
            refuse(f"{show(value)} has no unit", f"write {show(value)}% of the bandwidth, or {show(value)}M")
        refuse(f"{show(value)} is no part of a bandwidth", "write one such as 80% or 150M")
    if not Fraction(found[1]):
        refuse(f"{show(value)} asks for nothing", "write one such as 80% or 150M")
    if found[2] == "%" and Fraction(found[1]) > MOST_PERCENT:
        refuse(f"{show(value)} is more than a circuit can have", f"write {MOST_PERCENT}% at most")
    return f"{found[1]}{found[2][0]}"


Share = Annotated[
    str,
    PlainValidator(_share),
    WithJsonSchema(
        {"type": "string", "pattern": r"^[0-9.]+ ?(%|[kKmMgG](bps|bit/s|b/s)?)$", "examples": ["80%", "150M"]}
    ),
]


def share_of(text: str | None) -> tuple[float | None, int | None]:
    """(percent, None) or (None, bits per second) of a Share; (None, None) where nothing stands."""
    if text is None:
        return None, None
    if text.endswith("%"):
        return millionths(text) / 10_000, None
    return None, bits_per_second(text)


class BudgetCheckSpec(Part):
    """Packets between two hosts, both ways, are fast, steady and whole enough.

    Latency and jitter are those of the packets that arrived. Without `loss`, the check fails when fewer than
    half of the packets of a way arrive: three that were quick say nothing of those that were lost.
    """

    budget: Pair = Field(description="[source host, target host]; the target sends each packet back.")
    latency: Duration | None = Field(
        default=None, description="Most one-way delay of 95 % of the packets.", examples=["30ms"]
    )
    jitter: Duration | None = Field(
        default=None, description="Most jitter (RFC 3550), at any moment.", examples=["15ms"]
    )
    loss: Part100 | None = Field(
        default=None,
        description="Most packets lost, each way.",
        examples=["0.1%"],
    )
    packets: int = Field(default=100, ge=10, le=6000, description="How many are sent.")
    pace: Duration = Field(default="10ms", description="Time from one packet to the next.")
    class_name: ClassName = Field(
        default="default", alias="class", description="The class as whose client the source speaks."
    )
    family: Literal[4, 6] = Field(default=4, description="IP version.")

    @model_validator(mode="after")
    def _asks(self) -> BudgetCheckSpec:
        if self.latency is None and self.jitter is None and self.loss is None:
            refuse("the budget has no figure", "add latency, jitter or loss")
        if nanoseconds(self.pace) < 1_000_000:
            refuse(f"a pace of {self.pace} is a load", "write 1ms or more; use a throughput check for more")
        if nanoseconds(self.pace) * self.packets > LONGEST_RUN_S * 10**9:
            refuse(
                f"{self.packets} packets at {self.pace} take longer than a minute",
                "write fewer packets or a quicker pace",
            )
        return self


class FlowCheckSpec(Part):
    """Packets from one host to another pass a link, tagged and marked so."""

    flow: Pair = Field(description="[source host, target host]")
    link: str = Field(
        description="A link's name, or a circuit's for any of its links at the customer.",
        examples=["ams-primary"],
    )
    class_name: ClassName = Field(
        default="default", alias="class", description="The class as whose client the source speaks."
    )
    way: Literal["out", "in"] = Field(default="out", description="in: the answers of the target.")
    tags: Annotated[list[VlanId], Field(max_length=2)] | None = Field(
        default=None, description="VLAN ids, outermost first; [] for no tag.", examples=[[3, 200]]
    )
    ethertypes: Annotated[list[Ethertype], Field(max_length=2)] | None = Field(
        default=None,
        description="Ethertypes of the tags, as they are on the wire.",
        examples=[["0x8100", "0x8100"]],
    )
    dscp: Annotated[int, Field(ge=0, le=63)] | None = Field(
        default=None, description="The mark that they have there.", examples=[46]
    )
    family: Literal[4, 6] = Field(default=4, description="IP version.")

    @model_validator(mode="after")
    def _fits(self) -> FlowCheckSpec:
        if None not in (self.ethertypes, self.tags) and len(self.ethertypes or ()) != len(self.tags or ()):
            words = f"{len(self.tags or ())} tags and {len(self.ethertypes or ())} ethertypes"
            refuse(words, "write one for each tag")
        return self


class NeverCheckSpec(Part):
    """Packets between two hosts arrive, both ways, and none is ever on a link: what is private stays so."""

    never: Pair = Field(description="[source host, target host]")
    link: str = Field(
        description="A link, a circuit (all its links at the customer) or a node (all its devices).",
        examples=["hq-inet-internet"],
    )
    class_name: ClassName = Field(
        default="default", alias="class", description="The class as whose client the source speaks."
    )
    family: Literal[4, 6] = Field(default=4, description="IP version.")


class QueueCheckSpec(Part):
    """Packets of a class leave by a queue, which counts them and drops none."""

    queue: Pair = Field(description="[source host, target host]")
    link: str = Field(
        description="The link that the port with the queue is at, or a circuit.", examples=["ams-primary"]
    )
    class_name: ClassName = Field(alias="class", description="The class as whose client the source speaks.")
    counted_in: ClassName | None = Field(
        default=None, description="The queue's name; that of the class when left out.", examples=["voice"]
    )
    way: Literal["out", "in"] = Field(default="out", description="in: the answers of the target.")
    family: Literal[4, 6] = Field(default=4, description="IP version.")


class ThroughputCheckSpec(Part):
    """TCP between two hosts gets its part of a circuit's bandwidth, over that circuit.

    By the kernel's counters the circuit's links carried at least what was received; else it went another way
    and the check fails.
    """

    throughput: Pair = Field(description="[source host, target host]")
    circuit: str = Field(description="The circuit that must carry it, and whose bandwidth is meant.")
    at_least: Share | None = Field(
        default=None, description="Of the circuit's bandwidth, or bits per second.", examples=["70%"]
    )
    at_most: Share | None = Field(
        default=None,
        description="The same: more means that nobody holds the circuit to its bandwidth.",
        examples=["105%"],
    )
    way: Literal["out", "in"] = Field(default="out", description="in: from the target to the source.")
    seconds: float = Field(
        default=2.0, ge=0.5, le=30, strict=False, description="How long is measured, after half a second."
    )
    family: Literal[4, 6] = Field(default=4, description="IP version.")

    @model_validator(mode="after")
    def _asks(self) -> ThroughputCheckSpec:
        if self.at_least is None and self.at_most is None:
            refuse("the check has no figure", "add at_least: 80%, say")
        return self


class OutageCheckSpec(Part):
    """While something really goes wrong, nothing is lost between two hosts for longer than this."""

    outage: Pair = Field(description="[source host, target host]; probes go both ways.")
    fault: str = Field(
        description="What goes wrong, in the words of `edgelab fault`; it is healed again.",
        examples=["silent ams/primary"],
    )
    at_most: Duration = Field(
        description="The longest gap; 0ms: not one packet may be lost.", examples=["1s"]
    )


PairCheckSpec = (
    BudgetCheckSpec | FlowCheckSpec | NeverCheckSpec | QueueCheckSpec | ThroughputCheckSpec | OutageCheckSpec
)
