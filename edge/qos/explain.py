"""Why a packet gets its verdict, why no earlier rule took it, and what the service does with it.

The verdict is the fast path's own; the reasons are found here, and a disagreement of the two is an error.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from edge.errors import EdgeError
from edge.model import Address, Network
from edge.qos.dissect import IPV4, IPV6, Seen, dissect, dissect_packet
from edge.qos.expressroute import KNOBS, TREATMENT, MseeKnob, Peering, at_msee
from edge.qos.model import Direction, Policy, PortRange, Rule, Treatment, Verdict
from edge.qos.names import dscp_words, protocol_name

Link = Literal["ethernet", "ip"]
"""What octets begin with: an Ethernet frame, or an IP packet."""

Core = Callable[[bytes], Verdict]
"""Classifies a packet as the data path does."""

_PREFIXES_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Miss:
    """A condition of a rule that a packet does not meet: its key in a policy file, and why in words."""

    key: str
    words: str


@dataclass(frozen=True, slots=True)
class Judged:
    """A rule against a packet. number: index into Policy.rules. misses: empty when it matches."""

    number: int
    rule: Rule
    misses: tuple[Miss, ...]


@dataclass(frozen=True, slots=True)
class AtMsee:
    """What the MSEE's ingress does with a packet for one position of its knob; dscp None: it drops it."""

    knob: MseeKnob
    dscp: int | None


@dataclass(frozen=True, slots=True)
class Explanation:
    """All about one packet under one policy.

    above: the rules before the one that matched (all, when none did), with what each missed. below: later
    rules that match as well. msee: what becomes of the packet at the MSEE after the policy; msee_unmarked: of
    the same packet had nobody marked it. Both are empty where it does not enter by a Microsoft peering.
    """

    seen: Seen
    policy: Policy
    direction: Direction
    peering: Peering
    treatment: Treatment
    verdict: Verdict
    above: tuple[Judged, ...]
    below: tuple[Judged, ...]
    msee: tuple[AtMsee, ...]
    msee_unmarked: tuple[AtMsee, ...]

    @property
    def rule(self) -> Rule | None:
        """The rule that matched."""
        return None if self.verdict.rule is None else self.policy.rules[self.verdict.rule]


def explain(
    octets: bytes,
    policy: Policy,
    direction: Direction,
    peering: Peering,
    link: Link = "ethernet",
    core: Core | None = None,
) -> Explanation:
    """Why `octets` get their verdict. core: the fast path compiled for this policy when not given.

    Raises EdgeError when the fast path decides otherwise than these reasons say.
    """
    treatment = TREATMENT[peering]
    seen = dissect(octets) if link == "ethernet" else dissect_packet(octets)
    verdict = (core or fast_path(policy, direction, treatment, link))(octets)
    judged = () if seen.opaque else tuple(_judge(policy, seen, direction))
    matching = [item for item in judged if not item.misses]
    first = matching[0].number if matching else None
    expected = _expected(policy, seen, first, treatment)
    if verdict != expected:
        raise EdgeError(
            f"a defect: the fast path says {verdict}, its reasons {expected}; please report the packet"
        )
    enters = direction == "out" and peering == "microsoft" and not seen.opaque
    return Explanation(
        seen,
        policy,
        direction,
        peering,
        treatment,
        verdict,
        tuple(item for item in judged if first is None or item.number < first),
        tuple(matching[1:]),
        _at_msee(verdict.dscp) if enters else (),
        _at_msee(seen.dscp) if enters else (),
    )


def fast_path(policy: Policy, direction: Direction, treatment: Treatment, link: Link) -> Core:
    """The C core with this policy. Raises UsageError when it does not fit, CapabilityError without the C."""
    from edge.fastpath.classify import Table

    table = Table(policy, direction, treatment)
    return table.classify_one if link == "ethernet" else lambda octets: table.classify_one(_framed(octets))


def _framed(packet: bytes) -> bytes:
    """An IP packet behind an Ethernet header whose ethertype is that of the packet's version."""
    version = packet[0] >> 4 if packet else 0
    return bytes(12) + {4: IPV4, 6: IPV6}.get(version, 0).to_bytes(2, "big") + packet


def _at_msee(dscp: int) -> tuple[AtMsee, ...]:
    return tuple(AtMsee(knob, at_msee(dscp, knob)) for knob in KNOBS)


def _expected(policy: Policy, seen: Seen, rule: int | None, treatment: Treatment) -> Verdict:
    item = policy.class_of("default" if rule is None else policy.rules[rule].class_name)
    wanted = policy.unmatched_dscp if rule is None else policy.rules[rule].dscp
    keeps = seen.opaque or treatment == "steer" or wanted is None
    return Verdict(item.name, rule, seen.dscp if keeps or wanted is None else wanted, item.queue)


def _judge(policy: Policy, seen: Seen, direction: Direction) -> Iterator[Judged]:
    for number, rule in enumerate(policy.rules):
        yield Judged(number, rule, tuple(misses(rule, seen, direction)))


def misses(rule: Rule, seen: Seen, direction: Direction) -> Iterator[Miss]:
    """The conditions of a rule that an IP packet does not meet, in the order a person would check them."""
    if rule.direction not in ("both", direction):
        yield Miss("direction", f"the rule is for direction {rule.direction}")
    if rule.protocols and seen.protocol not in rule.protocols:
        wanted = ", ".join(map(protocol_name, rule.protocols))
        yield Miss("protocol", f"{protocol_name(seen.protocol)} is not {wanted}")
    yield from _port_misses(rule, seen)
    for key, address, prefixes in (
        ("source", seen.source, rule.source),
        ("destination", seen.destination, rule.destination),
    ):
        if prefixes and not any(address in prefix for prefix in prefixes):
            yield Miss(key, _address_words(key, address, prefixes))
    if rule.existing_dscp and seen.dscp not in rule.existing_dscp:
        wanted = ", ".join(map(dscp_words, rule.existing_dscp))
        yield Miss("existing_dscp", f"came with DSCP {dscp_words(seen.dscp)}, not {wanted}")
    if rule.hint and rule.hint not in seen.hints:
        yield Miss("hint", f"the payload does not look like {rule.hint.upper()}")


def _port_misses(rule: Rule, seen: Seen) -> Iterator[Miss]:
    asked = (
        ("source_ports", rule.source_ports, 0),
        ("destination_ports", rule.destination_ports, 1),
    )
    for key, ports, side in asked:
        if ports is None:
            continue
        if seen.ports is None:
            yield Miss(key, f"no ports: {seen.no_ports}")
        elif not _holds(ports, seen.ports[side]):
            name = key.removesuffix("s").replace("_", " ")
            yield Miss(key, f"{name} {seen.ports[side]} is not {_range(ports)}")
    if rule.either_ports is None:
        return
    if seen.ports is None:
        yield Miss("ports", f"no ports: {seen.no_ports}")
    elif not any(_holds(rule.either_ports, port) for port in seen.ports):
        yield Miss(
            "ports", f"neither port {seen.ports[0]} nor {seen.ports[1]} is {_range(rule.either_ports)}"
        )


def _holds(ports: PortRange, port: int) -> bool:
    return ports[0] <= port <= ports[1]


def _range(ports: PortRange) -> str:
    return str(ports[0]) if ports[0] == ports[1] else f"in {ports[0]}-{ports[1]}"


def _address_words(key: str, address: Address, prefixes: tuple[Network, ...]) -> str:
    own = [prefix for prefix in prefixes if prefix.version == address.version]
    if not own:
        return f"the rule's {key} is IPv{prefixes[0].version} only"
    shown = ", ".join(map(str, own[:_PREFIXES_SHOWN]))
    more = f" and {len(own) - _PREFIXES_SHOWN} more" if len(own) > _PREFIXES_SHOWN else ""
    return f"{key} {address} is not in {shown}{more}"
