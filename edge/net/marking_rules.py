"""Policies as nftables rules, for machines that refuse BPF: the body of one `inet` table a namespace. Pure.

The rules see packets where the namespace routes them: postrouting for what leaves by a device, prerouting
for what comes in. So they do not see frames that are no IP packets, nor tags; what a marking asks of these is
refused in words (`refusal`). Counters count IP packets; one that a sender's offload will segment counts once.

A marking `m` is a chain that finds the rule and goes to the chain of its outcome, `m_o`: 0 is "no rule", else
1 + the position among the rules of the direction, as in the compiled table (csrc/policy.h).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from ipaddress import IPv4Network, IPv6Network, collapse_addresses

from edge.fastpath.marklayout import queue_base
from edge.model import Network
from edge.net.objects.frames import Marking
from edge.qos.classes import rules_of
from edge.qos.expressroute import ALLOWED
from edge.qos.model import Hint, PortRange, Rule

TABLE = "edge_marking"
_WITH_PORTS = (6, 17, 33, 132, 136)
"""TCP, UDP, DCCP, SCTP, UDP-Lite: what a rule's ports are of (edge.qos.model)."""
_FAMILIES = ("ip", "ip6")
_UDP = 17
_HINTS: Mapping[Hint, tuple[str, ...]] = {
    "": (),
    "stun": (
        "@th,64,8 & 0xc0 == 0",
        "@th,80,16 & 0x3 == 0",
        f"@th,96,128 & 0xffffffff{'0' * 24} == 0x2112a442{'0' * 24}",
    ),
    "rtp": (f"@th,64,96 & 0xc{'0' * 23} == 0x8{'0' * 23}", "@th,72,8 & 0x60 != 0x40"),
}
"""Bits of UDP header and payload: place, length (see edge.qos.model.Hint). The longest reaches to the last
octet that must be there: a rule whose octets are not there does not match. RTP's types 64-95 are RTCP's."""


def refusal(obj: Marking) -> str | None:
    """Why nftables cannot do it, with a way out; None when it can."""
    if obj.outer is not None:
        return f"nftables rules do not see tags ({obj.outer}); mark at the subinterface, or run as root"
    if obj.tree is not None and obj.hook == "ingress":
        return "frames that arrive are in no queue; take the hook egress, or no tree"
    if any(character in '"\\*' or character.isspace() for character in obj.at.device):
        return f"{obj.at.device!r} cannot be an interface in a packet rule; give it another name"
    return None


def counter(marking: int, outcome: int, kind: str = "") -> str:
    """Name of a counter: of all packets of an outcome, those `remarked`, those with an `unknown` DSCP."""
    return f"m{marking}_{outcome}{'_' if kind else ''}{kind}"


def table(markings: Sequence[tuple[int, Marking]]) -> str:
    """The body of a namespace's table, for markings with a number each; none of them refused."""
    counters: list[str] = []
    chains: list[str] = []
    jumps: dict[str, list[str]] = {"egress": [], "ingress": []}
    for number, obj in markings:
        side = "oifname" if obj.hook == "egress" else "iifname"
        jumps[obj.hook].append(f'{side} "{obj.at.device}" jump m{number}')
        rules = [obj.policy.rules[position] for position in rules_of(obj.policy, obj.towards)]
        lines = [
            f"{match} goto {counter(number, outcome)}".lstrip()
            for outcome, rule in enumerate(rules, start=1)
            for match in _matches(rule)
        ]
        chains.append(_chain(f"m{number}", [*lines, f"goto {counter(number, 0)}"]))
        for outcome, rule in enumerate((None, *rules)):
            chains.append(_chain(counter(number, outcome), list(_verdict(number, obj, outcome, rule))))
            kinds = ("", "remarked", *(("unknown",) if obj.msee else ()))
            counters += [f"\tcounter {counter(number, outcome, kind)} {{\n\t}}\n" for kind in kinds]
    hooks = {"egress": "postrouting", "ingress": "prerouting"}
    bases = [
        _chain(name, [f"type filter hook {hooks[name]} priority mangle; policy accept;", *lines])
        for name, lines in jumps.items()
        if lines
    ]
    return "".join((*counters, *chains, *bases))


def _verdict(number: int, obj: Marking, outcome: int, rule: Rule | None) -> Iterator[str]:
    """What becomes of packets of one outcome."""
    yield f"counter name {counter(number, outcome)}"
    dscp = obj.policy.unmatched_dscp if rule is None else rule.dscp
    base = queue_base(obj.tree)
    if base:
        queue = obj.policy.class_of("default" if rule is None else rule.class_name).queue
        yield f"meta priority set {(base + queue) >> 16:x}:{(base + queue) & 0xFFFF:x}"
    if obj.msee:
        ends = {"pass": "", "remark": " {} dscp set 0 return", "drop": " drop"}[obj.msee]
        for family in _FAMILIES:
            unknown = (
                f"{family} dscp != {_set(sorted(ALLOWED))} counter name {counter(number, outcome, 'unknown')}"
            )
            yield unknown + ends.format(family)
    if obj.treatment == "mark" and dscp is not None:
        for family in _FAMILIES:
            remarked = counter(number, outcome, "remarked")
            yield f"{family} dscp != {dscp} counter name {remarked} {family} dscp set {dscp}"


def _matches(rule: Rule) -> Iterator[str]:
    """The conditions of a rule, one line for each way to meet them."""
    ports: list[str] = []
    if rule.source_ports is not None:
        ports.append(f"th sport {_range(rule.source_ports)}")
    if rule.destination_ports is not None:
        ports.append(f"th dport {_range(rule.destination_ports)}")
    ways = [ports]
    if rule.either_ports is not None:
        ways = [[*ports, f"th {side} {_range(rule.either_ports)}"] for side in ("sport", "dport")]
    protocols: tuple[int, ...] = rule.protocols
    if any(ways) or rule.hint:
        able = (_UDP,) if rule.hint else _WITH_PORTS
        protocols = tuple(p for p in able if not rule.protocols or p in rule.protocols)
        if not protocols:
            return
    protocol = [f"meta l4proto {_set(protocols)}"] if protocols else []
    for addressed in _addressed(rule):
        for way in ways:
            yield " ".join((*addressed, *protocol, *way, *_HINTS[rule.hint]))


def _addressed(rule: Rule) -> Iterator[list[str]]:
    """The conditions on addresses and DSCP: of one IP version each, or none at all."""
    if not (rule.source or rule.destination or rule.existing_dscp):
        yield []
        return
    for version, family in zip((4, 6), _FAMILIES, strict=True):
        words = []
        for side, prefixes in (("saddr", rule.source), ("daddr", rule.destination)):
            own = [prefix for prefix in prefixes if prefix.version == version]
            if prefixes and not own:
                break
            if own:
                words.append(f"{family} {side} {_set(_joined(own))}")
        else:
            if rule.existing_dscp:
                words.append(f"{family} dscp {_set(rule.existing_dscp)}")
            yield words


def _joined(networks: Iterable[Network]) -> list[Network]:
    """Of one IP version; nft refuses a set whose members overlap, so neighbours and parts are joined."""
    items = list(networks)
    v4 = [network for network in items if isinstance(network, IPv4Network)]
    v6 = [network for network in items if isinstance(network, IPv6Network)]
    return [*collapse_addresses(v4), *collapse_addresses(v6)]


def _chain(name: str, lines: Iterable[str]) -> str:
    body = "".join(f"\t\t{line}\n" for line in lines)
    return f"\tchain {name} {{\n{body}\t}}\n"


def _set(items: Iterable[object]) -> str:
    return f"{{ {', '.join(map(str, items))} }}"


def _range(ports: PortRange) -> str:
    return str(ports[0]) if ports[0] == ports[1] else f"{ports[0]}-{ports[1]}"
