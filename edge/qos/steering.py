"""Policies that a router adds to a user's: its own protocols, queues by DSCP, the MSEE's ingress. Pure.

A router's BGP and BFD share the wire with what they route. Where bulk fills a queue, sessions must not die
in it: they have a class of their own, as every router in the field gives them one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from ipaddress import ip_network

from edge.qos.expressroute import TABLE, MseeKnob
from edge.qos.model import (
    CLASSES,
    DEFAULT_CLASS,
    DSCP_CS0,
    DSCP_CS6,
    QUEUES_MAX,
    RULES_MAX,
    Policy,
    Rule,
    TrafficClass,
)
from edge.qos.names import PROTOCOL_BY_NAME

CONTROL = "control"
"""Class of routing protocols and neighbour discovery."""

CONTROL_SHARE = 2
"""Percent of the circuit for it. BGP's first announcement of 4,000 prefixes is 50 kB, BFD 20 kbit/s."""

BGP_PORT = 179
BFD_PORTS = (3784, 3785)
"""RFC 4271; RFC 5881 section 4 (control and echo)."""

_LINK_LOCAL = ip_network("fe80::/10")
_LINK_MULTICAST = ip_network("ff02::/16")

_TCP, _UDP, _ICMP6 = (PROTOCOL_BY_NAME[name] for name in ("tcp", "udp", "icmpv6"))

_ROUTING_RULES = (
    Rule("routing-bgp", CONTROL, DSCP_CS0, (_TCP,), either_ports=(BGP_PORT, BGP_PORT)),
    Rule("routing-bfd", CONTROL, DSCP_CS0, (_UDP,), destination_ports=BFD_PORTS),
)
_NEIGHBOUR_RULES = (
    Rule("neighbours-to", CONTROL, DSCP_CS0, (_ICMP6,), destination=(_LINK_LOCAL, _LINK_MULTICAST)),
    Rule("neighbours-from", CONTROL, DSCP_CS0, (_ICMP6,), source=(_LINK_LOCAL,)),
)
"""DSCP 0 where packets are marked: routers send these as CS6, which the service does not know (facts 6.1).

Where a router's own packets have not been marked yet, only those that came as CS6 count: else any host behind
it could fill this class by sending to the port of BFD."""

_CONTROL_RULES = (
    *(replace(rule, existing_dscp=(DSCP_CS6,)) for rule in _ROUTING_RULES),
    *_NEIGHBOUR_RULES,
)
_CONTROL_RULES_OF_MARKED = (*_ROUTING_RULES, *_NEIGHBOUR_RULES)

OWN_PROTOCOLS = Policy("own-protocols", (), unmatched_dscp=None)
"""With `with_control`: a router marks what it says itself, and nothing else."""

QUEUE_RATE_PERCENT = 99
"""Queues are served a little slower than the policer behind them: it counts the outer tag of every segment of
a GSO frame (4 octets of 1,522), the queue's clock only one. Were it the other way round, the policer would
drop, and it knows no voice."""

DIRECT_TOLERANCE_PERCENT = 20
"""On ExpressRoute Direct a link is clamped to its circuit's bandwidth when it exceeds that by more than this
(facts 10.4, source `rate`; edge.net.objects.frames.VirtualCircuit.tolerance_percent)."""


def with_control(policy: Policy) -> Policy:
    """The policy with the router's own protocols in front, in a class of their own.

    Its share is taken from what no class has, then from `default`, then from the class that has most. A
    policy that has as many classes or rules as there may be, or a class of that name, is given back as it
    is: see `no_room`.
    """
    return _with_rules(policy, _CONTROL_RULES)


def no_room(policy: Policy) -> str:
    """Why a policy cannot take the routers' own class in, in words; empty when it can. Pure."""
    if any(item.name == CONTROL for item in policy.classes):
        return f"its class {CONTROL} is that of the router's own protocols"
    if len(policy.classes) >= QUEUES_MAX or max(item.queue for item in policy.classes) + 1 >= QUEUES_MAX:
        return (
            f"it has {len(policy.classes)} classes, and the router's own protocols need one of {QUEUES_MAX}"
        )
    if len(policy.rules) + len(_CONTROL_RULES) > RULES_MAX:
        own = len(_CONTROL_RULES)
        return f"it has {len(policy.rules)} rules, and the router's own protocols need {own} of {RULES_MAX}"
    return ""


def _with_rules(policy: Policy, rules: tuple[Rule, ...]) -> Policy:
    if no_room(policy):
        return policy
    queue = 1 + max(item.queue for item in policy.classes)
    classes = (*_spared(policy.classes), TrafficClass(CONTROL, queue, CONTROL_SHARE))
    return replace(policy, rules=(*rules, *policy.rules), classes=classes)


def _spared(classes: tuple[TrafficClass, ...]) -> Iterator[TrafficClass]:
    """The classes with room for the control class: all together are promised no more than there is."""
    missing = sum(item.share for item in classes) + CONTROL_SHARE - 100
    ready = [item for item in classes if item.name == DEFAULT_CLASS and item.share > missing]
    giver = ready[0] if ready else max(classes, key=lambda item: item.share)
    for item in classes:
        yield replace(item, share=item.share - missing) if item is giver and missing > 0 else item


def by_dscp(classes: tuple[TrafficClass, ...] = CLASSES) -> Policy:
    """Queues by what a packet is marked as; for a port that others mark for. Only to steer with."""
    names = {item.name for item in classes}
    rules = tuple(
        Rule(f"dscp-{row.dscp}", row.class_name, row.dscp, existing_dscp=(row.dscp,))
        for row in TABLE
        if row.class_name in names and row.class_name != "default"
    )
    return _with_rules(Policy("by-dscp", rules, classes, unmatched_dscp=None), _CONTROL_RULES_OF_MARKED)


def without_priority(classes: tuple[TrafficClass, ...] = CLASSES) -> Policy:
    """Queues of private peering: DSCP gives no priority there (facts 6.1). Only to steer with."""
    return with_control(Policy("without-priority", (), classes, unmatched_dscp=None))


def at_msee_ingress(knob: MseeKnob) -> Policy:
    """What the service knows passes; the rest is up to the knob."""
    rules = tuple(
        Rule(f"dscp-{row.dscp}", row.class_name, row.dscp, existing_dscp=(row.dscp,)) for row in TABLE
    )
    # Only to be counted as what they are: the knob judges every DSCP, a router's own, too.
    control = tuple(replace(rule, dscp=None) for rule in _CONTROL_RULES_OF_MARKED)
    classes = (*CLASSES, TrafficClass(CONTROL, len(CLASSES), CONTROL_SHARE))
    unmatched = None if knob == "pass" else DSCP_CS0
    return Policy(f"msee-{knob}", (*control, *rules), classes, unmatched)


def queue_rate_bps(policed_bps: int) -> int:
    """The rate of queues in front of a policer of that rate, bits per second."""
    return policed_bps * QUEUE_RATE_PERCENT // 100
