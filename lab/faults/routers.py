"""Faults of routers: wrong tags and keys, too many prefixes, maintenance, NAT without ports. Pure."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from ipaddress import ip_network

from edge.errors import UsageError
from edge.model import Network, Originate, Router, Session, Subinterface, Tag, TagStack, Vrf
from lab.faults.model import Phases
from lab.faults.ranges import MD5_KEYS, PREFIX_COUNTS, SPARE_PREFIXES, VLAN_IDS, Between
from lab.faults.targets import connection_ends, node_named, peering_ends, translating
from lab.faults.units import (
    COUNT,
    DURATION,
    KEY,
    PREFIX,
    PREPENDS,
    SIDE,
    VLAN,
    Options,
    one_of,
    option,
)
from lab.lookup import other_end, sessions_of
from lab.model import LabModel, PeeringEnd
from lab.service.as_path import MAINTENANCE_PREPENDS

FIRST_PORT = 50_000
"""First port that is left of a translation without ports: one that nobody listens on."""

FLOOD_LENGTH_V4, FLOOD_LENGTH_V6 = 28, 64
"""Prefix length of a flood's routes: what many small subnets that nobody summarised have."""


@dataclass(frozen=True, slots=True)
class WrongTag(Options):
    """Options of wrong-tag. 0: left as it is; with neither the C-tag is the next that is free."""

    c_tag: int = option(
        VLAN, 0, "The C-tag that this side uses; the next free one when no tag is given.", VLAN_IDS
    )
    s_tag: int = option(VLAN, 0, "The S-tag that it uses.", VLAN_IDS)
    side: str = option(SIDE, "customer", "Who is wrong: customer or microsoft.")


@dataclass(frozen=True, slots=True)
class WrongKey(Options):
    """Options of wrong-key."""

    key: str = option(KEY, "wr0ngkey", "The MD5 key of this side.", MD5_KEYS)
    side: str = option(SIDE, "customer", "Who is wrong: customer or microsoft.")


@dataclass(frozen=True, slots=True)
class Flood(Options):
    """Options of prefix-flood. count 0: one more than the limit."""

    count: int = option(
        COUNT, 0, "How many prefixes; one more than the MSEE takes when left out.", PREFIX_COUNTS
    )
    inside: str = option(
        PREFIX, "", "Cut from this prefix; from 10.192.0.0/10 or fd77::/32 when left out.", SPARE_PREFIXES
    )
    family: str = option(one_of("4", "6"), "4", "IP version.")


@dataclass(frozen=True, slots=True)
class Maintenance(Options):
    """Options of maintenance."""

    drain: float = option(
        DURATION, "30s", "Time between the longer paths and the end of forwarding.", Between(0.0, 4.0, 0.001)
    )
    prepends: int = option(
        PREPENDS,
        MAINTENANCE_PREPENDS,
        "How often 12076 is put in front once more; 0 warns nobody.",
        Between(0, 16),
    )


@dataclass(frozen=True, slots=True)
class NatExhausted(Options):
    """Options of nat-exhausted."""

    ports: int = option(
        COUNT, 4, "Ports that are left of each address of the pool, for TCP and for UDP.", Between(1, 64)
    )


def _with_vrf(model: LabModel, namespace: str, change: Callable[[Vrf], Vrf]) -> LabModel:
    """The model with one routing domain changed."""

    def changed(router: Router) -> Router:
        if all(vrf.namespace != namespace for vrf in router.vrfs):
            return router
        vrfs = tuple(change(vrf) if vrf.namespace == namespace else vrf for vrf in router.vrfs)
        return replace(router, vrfs=vrfs)

    return replace(model, routers=tuple(changed(router) for router in model.routers))


def _ours(model: LabModel, end: PeeringEnd) -> None:
    """Raises UsageError for a router whose configuration is the user's own."""
    for router in model.routers:
        for vrf in router.vrfs:
            if vrf.namespace == end.namespace and vrf.own is not None:
                raise UsageError(
                    f"{end.node} is your own router: change {vrf.own.file} and deploy, or take another side"
                )


def wrong_tag(model: LabModel, target: str, options: WrongTag, phase: int) -> LabModel:
    """One side tags its frames otherwise: no ARP, no adjacency."""
    for end in peering_ends(model, target, options.side):
        _ours(model, end)
        router = next(one for one in model.routers if one.name == end.node)
        sub = next(
            one
            for vrf in router.vrfs
            if vrf.namespace == end.namespace
            for one in vrf.subinterfaces
            if one.name == end.device
        )
        taken = {
            one.tags: vrf.name
            for vrf in router.vrfs
            for one in vrf.subinterfaces
            if one.port == sub.port and (vrf.namespace, one.name) != (end.namespace, sub.name)
        }
        tags = _retagged(sub.tags, options, taken)
        model = _with_vrf(model, end.namespace, partial(_tagged, sub=sub, tags=tags))
    return model


def _tagged(vrf: Vrf, sub: Subinterface, tags: TagStack) -> Vrf:
    subs = (replace(one, tags=tags) if one.name == sub.name else one for one in vrf.subinterfaces)
    return replace(vrf, subinterfaces=tuple(subs))


def _retagged(tags: TagStack, options: WrongTag, taken: dict[TagStack, str]) -> TagStack:
    """The tags of a subinterface with the wrong ones in them. Raises UsageError where they do not fit."""
    if options.s_tag and len(tags) < 2:
        raise UsageError("this side has no S-tag there; write --c-tag")
    outer, inner = tags[:-1], tags[-1]
    if options.s_tag:
        outer = (replace(tags[0], vid=options.s_tag),)
    if options.c_tag:
        inner = replace(inner, vid=options.c_tag)
    found = (*outer, inner)
    if not options.s_tag and not options.c_tag:
        return next(one for one in _next_free(tags) if one not in taken)
    if found == tags:
        raise UsageError(f"{'/'.join(str(tag.vid) for tag in tags)} is what that side uses already")
    if found in taken:
        raise UsageError(f"{taken[found]} has these tags on the same port; write others")
    return found


def _next_free(tags: TagStack) -> Iterator[TagStack]:
    last = tags[-1]
    for step in range(1, 4094):
        yield (*tags[:-1], Tag((last.vid - 1 + step) % 4094 + 1, last.tpid))


def wrong_key(model: LabModel, target: str, options: WrongKey, phase: int) -> LabModel:
    """One side signs with another key (TCP MD5, RFC 2385): the other one hears nothing from it."""
    for end in peering_ends(model, target, options.side):
        _ours(model, end)

        def changed(vrf: Vrf, device: str = end.device) -> Vrf:
            sessions = (
                replace(one, password=options.key) if one.interface == device else one for one in vrf.sessions
            )
            return replace(vrf, sessions=tuple(sessions))

        if any(one.session.password == options.key for one in sessions_of(model, end)):
            raise UsageError(f"{options.key} is the key that {end.node} has already; write another --key")
        model = _with_vrf(model, end.namespace, changed)
    return model


def flood(model: LabModel, target: str, options: Flood, phase: int) -> LabModel:
    """The customer's side announces so many prefixes that the MSEE drops its session."""
    version = int(options.family)
    for end in peering_ends(model, target, "customer"):
        _ours(model, end)
        there = other_end(model, end)
        theirs = [one.session for one in (sessions_of(model, there) if there else ())]
        theirs = [one for one in theirs if one.family == version]
        if not theirs:
            raise UsageError(f"{target} has no IPv{version} session; leave --family away")
        imports = theirs[0].imports
        count = options.count or (imports.limit.count + 1 if imports.limit is not None else 1)
        prefixes = _flooded(options, version, imports.prefixes, count)
        model = _with_vrf(model, end.namespace, partial(_announcing, end=end, prefixes=prefixes))
    return model


def _announcing(vrf: Vrf, end: PeeringEnd, prefixes: tuple[Network, ...]) -> Vrf:
    """The routing domain with further own prefixes that only the sessions of one peering tell."""
    known = {one.network for one in vrf.originates}
    own = tuple(one.network for one in vrf.originates)
    more = tuple(Originate(network) for network in prefixes if network not in known)

    def session(one: Session) -> Session:
        exports = one.exports
        if one.interface == end.device and one.family == prefixes[0].version:
            told = exports.networks if exports.networks is not None else (own if exports.originated else ())
            exports = replace(exports, originated=True, networks=tuple(dict.fromkeys((*told, *prefixes))))
        elif exports.originated and exports.networks is None:
            exports = replace(exports, networks=own)
        return replace(one, exports=exports)

    sessions = tuple(session(one) for one in vrf.sessions)
    return replace(vrf, originates=(*vrf.originates, *more), sessions=sessions)


def _flooded(
    options: Flood, version: int, allowed: tuple[Network, ...] | None, count: int
) -> tuple[Network, ...]:
    """So many prefixes; on a Microsoft peering out of those that it may announce: no others are taken."""
    default = "10.192.0.0/10" if version == 4 else "fd77::/32"
    bases: tuple[Network, ...] = (ip_network(options.inside or default),)
    if not options.inside and allowed is not None:
        bases = tuple(one for one in allowed if one.version == version)
    if any(one.version != version for one in bases):
        raise UsageError(f"{options.inside} is not IPv{version}; write --family {bases[0].version} as well")
    found = tuple(itertools.islice(_parts(bases, version), count))
    if len(found) < count:
        inside = ", ".join(map(str, bases)) or "no prefix"
        raise UsageError(
            f"{inside} holds {len(found)} prefixes, not {count}; write a smaller --count or a larger --inside"
        )
    return found


def _parts(bases: tuple[Network, ...], version: int) -> Iterator[Network]:
    """Parts of the prefixes: all of the usual length first, then longer and longer ones."""
    usual = FLOOD_LENGTH_V4 if version == 4 else FLOOD_LENGTH_V6
    for base in bases:
        for length in range(max(usual, base.prefixlen + 1), base.max_prefixlen + 1):
            yield from base.subnets(new_prefix=length)


def maintenance(model: LabModel, target: str, options: Maintenance, phase: int) -> LabModel:
    """Microsoft works on one MSEE of a circuit: longer paths both ways, then no packet is forwarded.

    BGP and BFD stay up all the while (facts 4).
    """
    for end in connection_ends(model, target):
        model = _with_vrf(model, end.namespace, lambda vrf: _prepending(vrf, options.prepends))
        if phase > 0:
            model = replace(model, halted=(*model.halted, end.namespace))
    return model


def _prepending(vrf: Vrf, prepends: int) -> Vrf:
    """Towards the customer and towards the gateways, as the service's own maintenance does."""
    sessions = (
        replace(one, exports=replace(one.exports, prepend=max(prepends, one.exports.prepend)))
        if one.group in ("customer", "gateway")
        else one
        for one in vrf.sessions
    )
    return replace(vrf, sessions=tuple(sessions))


def maintaining(options: Maintenance) -> Phases:
    """Drained, then worked on until it is healed."""
    return Phases((options.drain, None))


def nat_exhausted(model: LabModel, target: str, options: NatExhausted, phase: int) -> LabModel:
    """Of each address of a router's pools only a few ports are left: further flows find none."""
    node = node_named(model, target)
    if target not in translating(model):
        raise UsageError(f"{target} translates no addresses; there is {', '.join(translating(model))}")
    last = FIRST_PORT + options.ports - 1
    if last > 65_535:
        raise UsageError(f"there are not so many ports; write --ports {65_536 - FIRST_PORT} at most")

    def starved(vrf: Vrf) -> Vrf:
        return replace(vrf, nat=tuple(replace(rule, ports=(FIRST_PORT, last)) for rule in vrf.nat))

    for space in node.namespaces:
        model = _with_vrf(model, space, starved)
    return model
