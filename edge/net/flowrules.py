"""Packet rules that look at flows: published servers, stateful filters, caps of a rate. Pure.

As nftables chains, and as lines of the tables of iptables; `edge.net.rules` puts them together with the
others. All of them look at packets that are passed on, so what a router itself says and hears is left alone.
"""

from __future__ import annotations

from edge.model import PublishedPort, RateCap, StatefulFilter
from edge.net.ruletext import chain, counter, plain, quoted

REFUSED_FLOWS = "refused_flows"
"""Named counter of packets dropped because no flow from inside asked for them."""

_BURST_S = 0.05
"""How much above a cap may come at once, in seconds of it: a bucket as a router's policer has. Where octets
count, nftables itself adds a whole second of the rate (nft_limit.c)."""

_BURST_MIN = 15_000
"""Octets of the smallest bucket: ten full packets."""

_BURST_PACKETS_MIN = 10


def published(ports: tuple[PublishedPort, ...]) -> str:
    """Destinations of published ports change on the way in, sources on the way out where that is wanted."""
    if not ports:
        return ""
    inward = [
        f"iifname {quoted(one.interface)} ip daddr {one.outside} {one.protocol} dport {one.port}"
        f" dnat ip to {one.inside}"
        for one in ports
    ]
    outward = [
        f"ct status dnat ct original ip daddr {one.outside} {one.protocol} dport {one.port}"
        f" snat ip to {one.source}"
        for one in ports
        if one.source is not None
    ]
    chains = [chain("published", ["type nat hook prerouting priority dstnat; policy accept;", *inward])]
    if outward:
        head = "type nat hook postrouting priority srcnat - 1; policy accept;"
        chains.append(chain("published_sources", [head, *outward]))
    return "\n".join(chains)


def stateful(filters: tuple[StatefulFilter, ...]) -> str:
    """What belongs to no flow is dropped and counted; a published port's flow is known by its translation."""
    if not filters:
        return ""
    interfaces = ", ".join(dict.fromkeys(quoted(one.interface) for one in filters))
    lines = [
        "type filter hook forward priority filter; policy accept;",
        f"iifname {{ {interfaces} }} ct state established,related accept",
        f"iifname {{ {interfaces} }} ct state new ct status dnat accept",
        f"iifname {{ {interfaces} }} counter name {REFUSED_FLOWS} drop",
    ]
    return "\n".join((counter(REFUSED_FLOWS), chain("flows", lines)))


def rate_caps(caps: tuple[RateCap, ...]) -> str:
    """What leaves by an interface above its rate, or in too many packets, is dropped and counted."""
    if not caps:
        return ""
    named: dict[str, None] = {}
    lines = ["type filter hook forward priority filter; policy accept;"]
    for cap in caps:
        out = f"oifname {quoted(cap.interface)}"
        rate = f"limit rate over {cap.rate_bps // 8} bytes/second burst {_burst(cap)} bytes"
        lines.append(f"{out} {rate} counter name {cap.counted} drop")
        named[cap.counted] = None
        if cap.packets_per_s is not None:
            name = packets_counter(cap)
            burst = _packets_burst(cap.packets_per_s)
            rate = f"limit rate over {cap.packets_per_s}/second burst {burst} packets"
            lines.append(f"{out} {rate} counter name {name} drop")
            named[name] = None
    return "\n".join((*map(counter, named), chain("rates", lines)))


def packets_counter(cap: RateCap) -> str:
    """Name of the counter of what a cap dropped for the number of packets."""
    return f"{cap.counted}_packets"


def xtables_published(ports: tuple[PublishedPort, ...]) -> list[str]:
    """Lines of the table `nat` with the meaning of `published`."""
    found = []
    for one in ports:
        match = f"-p {one.protocol} --dport {one.port}"
        found.append(
            f"-4 -A PREROUTING -i {plain(one.interface)} -d {one.outside} {match}"
            f" -j DNAT --to-destination {one.inside}"
        )
        if one.source is not None:
            found.append(
                f"-4 -A POSTROUTING -m conntrack --ctstate DNAT --ctorigdst {one.outside} {match}"
                f" -j SNAT --to-source {one.source}"
            )
    return found


def xtables_stateful(filters: tuple[StatefulFilter, ...]) -> list[str]:
    """Lines of the table `filter` with the meaning of `stateful`."""
    found = []
    for name in dict.fromkeys(plain(one.interface) for one in filters):
        for states in ("ESTABLISHED,RELATED", "DNAT"):
            found.append(f"-A FORWARD -i {name} -m conntrack --ctstate {states} -j ACCEPT")
        found.append(f"-A FORWARD -i {name} -m comment --comment {REFUSED_FLOWS} -j DROP")
    return found


def xtables_rate_caps(caps: tuple[RateCap, ...]) -> list[str]:
    """Lines of the table `filter` with the meaning of `rate_caps`."""
    lines = []
    for number, cap in enumerate(caps):
        out = f"-A FORWARD -o {plain(cap.interface)} -m hashlimit"
        lines.append(
            f"{out} --hashlimit-above {cap.rate_bps // 8}b/s --hashlimit-burst {_xtables_burst(cap)}b"
            f" --hashlimit-name cap{number} -m comment --comment {cap.counted} -j DROP"
        )
        if cap.packets_per_s is not None:
            lines.append(
                f"{out} --hashlimit-above {cap.packets_per_s}/sec"
                f" --hashlimit-burst {_packets_burst(cap.packets_per_s)}"
                f" --hashlimit-name cap{number}p -m comment --comment {packets_counter(cap)} -j DROP"
            )
    return lines


def _burst(cap: RateCap) -> int:
    return max(_BURST_MIN, int(cap.rate_bps / 8 * _BURST_S))


def _packets_burst(packets_per_s: int) -> int:
    return max(_BURST_PACKETS_MIN, int(packets_per_s * _BURST_S))


def _xtables_burst(cap: RateCap) -> int:
    """At least a second's worth of the rate, as iptables rounds it, which takes no smaller bucket."""
    whole = (1 << 32) - 1
    cost = whole // ((cap.rate_bps // 8 >> 4) + 1)
    return max(_burst(cap), (whole // cost - 1) << 4)
