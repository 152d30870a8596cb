"""A VRF as bird.conf, for BIRD 2.0.8 to 2.17. Pure.

Tables hold three kinds of routes: connected ones (`direct`, preference 240), the VRF's own prefixes
(`originated4/6`, preference 250, so that a prefix which is also connected is announced with its
communities) and BGP's (100). Only BGP's go to the kernel: the others are there already, or are
announcements behind which nothing has to be routed.

`configure` restarts a protocol only when its own block changed, and a filter that changed is applied to
the routes as they came, which `import table` keeps (a route refresh takes old versions seconds). So each
session has filters and options of its own, and nothing that one session needs is written in a block that
another depends on: BFD is one constant block, its timers stand with the sessions.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from edge.bgp.policy import (
    community,
    export_filter,
    export_name,
    import_filter,
    import_name,
    originated_name,
    protocol_name,
)
from edge.model import LabelPath, Originate, PlainInterface, Session, Subinterface, Vrf

_NAME = re.compile(r"[A-Za-z0-9_]{1,48}")
_GROUP = re.compile(r"[A-Za-z][A-Za-z0-9]{0,15}")
_DEVICE = re.compile(r"[^\s/:\"\x00-\x1f\x7f]{1,15}")
_PASSWORD = re.compile(r"[A-Za-z0-9]{1,25}")

_DEVICE_SCAN_S = 1
"""BIRD before 2.13 can leave work it scheduled for itself until its next timer, up to 3 s later: first
routes, a refresh, a NOTIFICATION. This is the cheapest timer there is, and bounds the wait."""

_KERNEL_SCAN_S = 20
_ORIGINATED_PREFERENCE = 250
_PATHS = "paths"


def render(vrf: Vrf) -> str:
    """The complete bird.conf of a VRF; the same VRF always gives the same text.

    Raises ValueError, in words for the operator, when something cannot be written: a name, group or
    device that is not one, a key that is not 1-25 letters and digits (facts 3.2), addresses of two
    families in one session, timers out of range (RFC 4271 4.2), two sessions of one name.
    """
    _check(vrf)
    families = _families(vrf)
    parts = [_head(vrf), _kernel(vrf, families)]
    parts += [_originated(vrf, family) for family in families]
    parts += [_label_paths(vrf, family) for family in families]
    parts.append(_BFD)
    for session in vrf.sessions:
        parts += [import_filter(session), export_filter(session), _session(session)]
    return "\n\n".join(part for part in parts if part) + "\n"


_BFD = """\
# BFD: every session below that asks for it brings its own timers.
protocol bfd bfd1 {
  debug { states, events };
}"""


def _check(vrf: Vrf) -> None:
    seen: set[str] = set()
    for session in vrf.sessions:
        where = f"{vrf.name}: session {session.name!r}"
        if not _NAME.fullmatch(session.name):
            raise ValueError(f"{where}: a name has 1-48 letters, digits and underscores")
        for group in (session.group, *session.exports.groups):
            if not _GROUP.fullmatch(group):
                raise ValueError(f"{where}: group {group!r} is not 1-16 letters and digits, letter first")
        if not _DEVICE.fullmatch(session.interface):
            raise ValueError(f"{where}: {session.interface!r} cannot be the name of a network device")
        if session.local.version != session.neighbor.version:
            raise ValueError(f"{where}: {session.local} and {session.neighbor} are of two address families")
        if session.password is not None and not _PASSWORD.fullmatch(session.password):
            raise ValueError(f"{where}: the shared key must be 1-25 letters and digits, nothing else")
        _check_timers(session, where)
        if protocol_name(session) in seen:
            raise ValueError(f"{where}: another session of group {session.group} has this name")
        seen.add(protocol_name(session))


def _check_timers(session: Session, where: str) -> None:
    timers = session.timers
    if timers.hold_s and not 3 <= timers.hold_s <= 65535:
        raise ValueError(f"{where}: hold time {timers.hold_s} s is neither 0 nor 3-65535 (RFC 4271 4.2)")
    if not 1 <= timers.keepalive_s <= max(timers.hold_s, 1):
        raise ValueError(f"{where}: keepalive {timers.keepalive_s} s is not between 1 and the hold time")
    if min(timers.connect_delay_s, timers.connect_retry_s, *timers.error_wait_s) < 1:
        raise ValueError(f"{where}: connect and error timers are at least 1 s")
    limit = session.imports.limit
    if limit is not None and (limit.count < 1 or limit.retry_s < 1):
        raise ValueError(f"{where}: a prefix limit and its retry are at least 1")
    bfd = session.bfd
    if bfd is not None and (not 10 <= bfd.interval_ms <= 60000 or not 1 <= bfd.multiplier <= 255):
        raise ValueError(f"{where}: BFD takes 10-60000 ms and a multiplier of 1-255 (RFC 5880 4.1)")


def _families(vrf: Vrf) -> tuple[int, ...]:
    used = {session.family for session in vrf.sessions} | {own.network.version for own in vrf.originates}
    return tuple(sorted(used))


def _head(vrf: Vrf) -> str:
    name = "".join(character if character.isprintable() else "?" for character in vrf.name)
    return f"""\
# BIRD of VRF {name}. Written by the edge router from its model; edits are lost.
log stderr all;
timeformat log iso long ms;
timeformat protocol iso long ms;
timeformat route iso long ms;
router id {vrf.router_id};
debug protocols {{ states }};

protocol device device1 {{
  scan time {_DEVICE_SCAN_S};
}}

# Connected networks.
protocol direct connected {{
  ipv4;
  ipv6;
}}"""


def _kernel(vrf: Vrf, families: Iterable[int]) -> str:
    blocks = []
    for family in families:
        also = f' || proto = "{_PATHS}{family}"' if _paths(vrf, family) else ""
        merge = f"  merge paths on limit {vrf.ecmp_paths};\n" if vrf.ecmp_paths > 1 else ""
        blocks.append(
            f"protocol kernel kernel{family} {{\n"
            f"  scan time {_KERNEL_SCAN_S};\n"
            f"{merge}"
            f"  ipv{family} {{\n"
            f"    import none;\n"
            f"    export where source = RTS_BGP{also};\n"
            f"  }};\n"
            f"}}"
        )
    if not blocks:
        return ""
    what = "what BGP learned, and label-switched paths" if vrf.paths else "what BGP learned, nothing else"
    return f"# The kernel gets {what}.\n" + "\n\n".join(blocks)


def _paths(vrf: Vrf, family: int) -> list[LabelPath]:
    return [path for path in vrf.paths if path.destination.version == family]


def _label_paths(vrf: Vrf, family: int) -> str:
    """Static routes that push labels: BGP's next hops are found by them, and take their labels along."""
    paths = _paths(vrf, family)
    if not paths:
        return ""
    return "\n".join(
        (
            "# Label-switched paths to the VRFs of other routers.",
            f"protocol static {_PATHS}{family} {{",
            "  check link yes;",
            f"  ipv{family};",
            *(f"  route {p.destination} via {p.via} mpls {'/'.join(map(str, p.labels))};" for p in paths),
            "}",
        )
    )


def _originated(vrf: Vrf, family: int) -> str:
    own = [originate for originate in vrf.originates if originate.network.version == family]
    if not own:
        return ""
    interfaces: tuple[Subinterface | PlainInterface, ...] = (*vrf.subinterfaces, *vrf.interfaces)
    device_of = {
        address.network: interface.name for interface in interfaces for address in interface.addresses
    }
    routes = [f"  {_own_route(originate, device_of.get(originate.network))}" for originate in own]
    return "\n".join(
        (
            "# Own prefixes. One on a device is announced while the device is up.",
            f"protocol static {originated_name(family)} {{",
            "  check link yes;",
            f"  ipv{family} {{ preference {_ORIGINATED_PREFERENCE}; }};",
            *routes,
            "}",
        )
    )


def _own_route(originate: Originate, device: str | None) -> str:
    target = f'via "{device}"' if device is not None else "blackhole"
    attributes = " ".join(
        f"bgp_community.add({community(value)});" for value in sorted(set(originate.communities))
    )
    return f"route {originate.network} {target}" + (f" {{ {attributes} }};" if attributes else ";")


def _session(session: Session) -> str:
    timers = session.timers
    first_wait, longest_wait = error_wait(session)
    lines = [
        f"local {session.local} as {session.local_asn};",
        f"neighbor {session.neighbor} as {session.peer_asn};",
        *(("multihop;",) if session.multihop else _direct(session)),
        "graceful restart off;",
        f"hold time {timers.hold_s};",
        f"keepalive time {timers.keepalive_s};",
        f"connect delay time {timers.connect_delay_s};",
        f"connect retry time {timers.connect_retry_s};",
        f"error wait time {first_wait}, {longest_wait};",
        f"error forget time {4 * longest_wait + 10};",
        "debug { states, events };",
    ]
    if session.password is not None:
        lines.append(f'password "{session.password}";')
    if session.bfd is not None:
        every = f"{session.bfd.interval_ms} ms"
        lines.append(
            f"bfd {{ min rx interval {every}; min tx interval {every}; "
            f"multiplier {session.bfd.multiplier}; }};"
        )
    if session.allow_own_as:
        lines.append("allow local as 1;")
    if session.client:
        lines.append("rr client;")
    if not session.enabled:
        lines.append("disabled yes;")
    channel = ["import table yes;", "import keep filtered yes;", f"import filter {import_name(session)};"]
    limit = session.imports.limit
    if limit is not None:
        channel.append(f"import limit {limit.count} action restart;")
    channel.append(f"export filter {export_name(session)};")
    if session.next_hop_self:
        channel.append("next hop self;")
    lines += [f"ipv{session.family} {{", *(f"  {line}" for line in channel), "};"]
    return "\n".join((f"protocol bgp {protocol_name(session)} {{", *(f"  {line}" for line in lines), "}"))


def _direct(session: Session) -> tuple[str, ...]:
    return (f'interface "{session.interface}";', "direct;", "check link yes;")


def error_wait(session: Session) -> tuple[int, int]:
    """First and longest pause in seconds before a session that failed is tried again.

    BIRD doubles the pause with every failure up to the longest. A prefix limit sets the longest: a
    session above its limit is tried every `retry_s`, while a single failure of another kind does not
    have to wait that long.
    """
    first, longest = session.timers.error_wait_s
    limit = session.imports.limit
    longest = max(first, longest) if limit is None else limit.retry_s
    return min(first, longest), longest
