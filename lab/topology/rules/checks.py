"""Checks: what they name must be there, and must be able to hold."""

from __future__ import annotations

from ipaddress import ip_address

from edge.model import Address
from edge.qos.profiles import profile
from lab.names.table import front_ends
from lab.topology import names
from lab.topology.check_models import ALL
from lab.topology.check_schema import (
    FrameCheckSpec,
    HttpsCheckSpec,
    NameCheckSpec,
    PathCheckSpec,
    PingCheckSpec,
    RouteCheckSpec,
    SessionsCheckSpec,
    host_of,
)
from lab.topology.layout import Layout
from lab.topology.naming import names_of
from lab.topology.pair_check_schema import (
    BudgetCheckSpec,
    FlowCheckSpec,
    NeverCheckSpec,
    OutageCheckSpec,
    PairCheckSpec,
    QueueCheckSpec,
    ThroughputCheckSpec,
)
from lab.topology.public import has_internet
from lab.topology.qos_schema import policy_of
from lab.topology.rules import vpns
from lab.topology.rules.context import Context
from lab.topology.rules.naming import claims
from lab.topology.set_check_schema import CommunitiesCheckSpec, RoutesCheckSpec
from lab.topology.source import DocumentPath
from lab.topology.suggest import hint_for


def check(context: Context) -> None:
    """Report what is wrong with checks."""
    rules = _Rules(context)
    for number, spec in enumerate(context.topology.checks):
        path: DocumentPath = ("checks", number)
        if isinstance(spec, PingCheckSpec):
            rules.pair((*path, "ping"), spec.ping, spec.family)
        elif isinstance(spec, PathCheckSpec):
            rules.path(path, spec)
        elif isinstance(spec, SessionsCheckSpec):
            rules.sessions(path, spec)
        elif isinstance(spec, RouteCheckSpec):
            rules.route(path, spec)
        elif isinstance(spec, NameCheckSpec):
            rules.name(path, spec)
        elif isinstance(spec, HttpsCheckSpec):
            rules.https(path, spec)
        elif isinstance(spec, FrameCheckSpec):
            rules.frame(path, spec)
        elif isinstance(spec, RoutesCheckSpec):
            rules.routes(path, spec)
        elif isinstance(spec, CommunitiesCheckSpec):
            rules.speaker((*path, "communities", 0), spec.communities[0])
        else:
            rules.talk(path, spec)


class _Rules:
    """The names of a lab, and what checks may say about them."""

    def __init__(self, context: Context) -> None:
        topology = context.topology
        self.context = context
        self.circuits = topology.circuits
        self.hosts = _hosts(context)
        found = list(claims(topology, context.layout))
        self.nodes = [claim.name for claim in found if claim.what == "node"]
        self.links = [claim.name for claim in found if claim.what == "link"]
        vrfs = [*_vrfs(context.layout), *vpns.vrfs(topology, context.layout)]
        self.addressed = [*(claim.name for claim in found if claim.addressed), *vrfs]
        self.hops = [*self.nodes, *vrfs]
        self.speakers = [*(claim.name for claim in found if claim.bgp), *vrfs]
        self.internet = has_internet(topology)
        self.names = names_of(topology, context.layout.has_core())

    def unknown(self, path: DocumentPath, what: str, name: str, known: list[str]) -> None:
        """Report a name that the lab does not have, unless a part that was cut off may have had it."""
        if all(one[0] == "checks" for one in self.context.cut):
            hint = hint_for(name, known)
            if name in [service.name for service in front_ends(self.context.topology.internet.names)]:
                hint = "it is there once a circuit has a microsoft peering"
            self.context.report(path, f"there is no {what} {name}", hint)

    def pair(self, path: DocumentPath, pair: tuple[str, str], family: int) -> None:
        """[source, target] of a ping or a path."""
        source, target = pair
        if source in self.hosts:
            self._has_family((*path, 0), source, family)
        elif source not in self.addressed:
            self.unknown((*path, 0), "host or router", source, self.addressed)
        address = _address(target)
        if address is not None:
            if address.version != family:
                words = f"{target} is IPv{address.version} and the check asks for IPv{family}"
                self.context.report((*path, 1), words, f"add family: {address.version}")
        elif target in self.hosts:
            self._has_family((*path, 1), target, family)
        elif target not in self.addressed:
            self.unknown((*path, 1), "host or router", target, self.addressed)

    def _has_family(self, path: DocumentPath, host: str, family: int) -> None:
        if not any(address.version == family for address in self.hosts[host]):
            self.context.report(
                path, f"{host} has no IPv{family} address", f"give it one, or check family: {10 - family}"
            )

    def peering(self, path: DocumentPath, circuit: str, peering: str | None) -> None:
        """A peering that a check names must be ordered."""
        if peering is None or circuit not in self.circuits:
            return
        if getattr(self.circuits[circuit].peerings, peering) is None and not self.context.is_cut(
            "circuits", circuit, "peerings"
        ):
            self.context.report(
                (*path, "peering"),
                f"circuit {circuit} has no {peering} peering",
                "add it, or take the key out",
            )

    def via(self, path: DocumentPath, via: str, peering: str | None) -> None:
        """A way that a check names, and the peering crossed."""
        if via == names.INTERNET:
            if not self.internet:
                self.unknown((*path, "via"), "way to the", "internet", list(self.circuits))
            if peering is not None:
                self.context.report(
                    (*path, "peering"), "the way over the Internet crosses no peering", "take the key out"
                )
        elif via not in self.circuits:
            self.unknown((*path, "via"), "circuit", via, [*self.circuits, names.INTERNET])
        self.peering(path, via, peering)

    def name(self, path: DocumentPath, spec: NameCheckSpec) -> None:
        """A name check."""
        self._source((*path, "name", 0), spec.name[0])
        if self._has_names((*path, "name")) and spec.via is not None:
            self.via(path, spec.via, None)

    def https(self, path: DocumentPath, spec: HttpsCheckSpec) -> None:
        """An HTTPS check: some front end has the name."""
        self._source((*path, "https", 0), spec.https[0])
        if not self._has_names((*path, "https")):
            return
        host = host_of(spec.https[1])
        if self.names is not None and self.names.named(host) is None:
            self.unknown((*path, "https", 1), "front end", host, [name for name, _ in self.names.records()])
        if spec.via is not None:
            self.via(path, spec.via, spec.peering)
        elif spec.peering is not None:
            self.context.report((*path, "peering"), "a peering is of a circuit", "add via: with its name")

    def _source(self, path: DocumentPath, source: str) -> None:
        if source not in self.hosts and source not in self.addressed:
            self.unknown(path, "host or router", source, self.addressed)

    def _has_names(self, path: DocumentPath) -> bool:
        topology = self.context.topology
        if not topology.internet.names:
            self.context.report(path, "this lab has no names", "write internet: {names: true}")
        elif not self.internet:
            self.unknown(path, "way to the", "internet", list(topology.sites))
        return topology.internet.names and self.internet

    def path(self, path: DocumentPath, spec: PathCheckSpec) -> None:
        """A path check."""
        self.pair((*path, "path"), spec.path, spec.family)
        self.via(path, spec.via, spec.peering)
        if spec.dscp and spec.via == names.INTERNET:
            self.context.report(
                (*path, "dscp"), "the way over the Internet is no cross-connection", "take the key out"
            )
        if spec.hop is not None and spec.hop not in self.hops:
            self.unknown((*path, "hop"), "node", spec.hop, self.hops)

    def sessions(self, path: DocumentPath, spec: SessionsCheckSpec) -> None:
        """A sessions check."""
        if spec.sessions != ALL and spec.sessions not in self.circuits:
            self.unknown((*path, "sessions"), "circuit", spec.sessions, [*self.circuits, ALL])
        self.peering(path, spec.sessions, spec.peering)

    def route(self, path: DocumentPath, spec: RouteCheckSpec) -> None:
        """A route check."""
        self.speaker((*path, "route", 0), spec.route[0])

    def speaker(self, path: DocumentPath, name: str) -> None:
        """A router that speaks BGP, or the namespace of one of its VRFs."""
        if name not in self.speakers:
            self.unknown(path, "router that speaks BGP:", name, self.speakers)

    def routes(self, path: DocumentPath, spec: RoutesCheckSpec) -> None:
        """A check of a set of routes: prefixes and next hops of the family that is asked for."""
        self.speaker((*path, "routes"), spec.routes)
        if spec.circuit is not None and spec.circuit not in self.circuits:
            self.unknown((*path, "circuit"), "circuit", spec.circuit, list(self.circuits))
        if spec.circuit is not None:
            self.peering(path, spec.circuit, spec.peering)
        elif spec.peering is not None:
            self.context.report((*path, "peering"), "a peering is of a circuit", "add circuit: with its name")
        for key in ("exact", "contains", "lacks"):
            for number, wanted in enumerate(getattr(spec, key) or ()):
                place: DocumentPath = (*path, key, number)
                version = wanted.prefix.version
                if spec.family not in (None, version):
                    words = f"{wanted.prefix} is IPv{version} and the check asks for IPv{spec.family}"
                    self.context.report(place, words, f"take it out, or write family: {version}")
                if wanted.next_hop is not None and wanted.next_hop.version != version:
                    words = f"{wanted.next_hop} is no IPv{version} address as {wanted.prefix} needs it"
                    self.context.report((*place, "next_hop"), words, "write the neighbour's address")

    def talk(self, path: DocumentPath, spec: PairCheckSpec) -> None:
        """A check that sends packets between two hosts, and where it looks at them."""
        if isinstance(spec, ThroughputCheckSpec):
            self._hosts((*path, "throughput"), spec.throughput, spec.family)
            if spec.circuit not in self.circuits:
                self.unknown((*path, "circuit"), "circuit", spec.circuit, list(self.circuits))
            return
        if isinstance(spec, OutageCheckSpec):
            self._hosts((*path, "outage"), spec.outage, 4)
            return
        self._class((*path, "class"), spec.class_name)
        if isinstance(spec, BudgetCheckSpec):
            self._hosts((*path, "budget"), spec.budget, spec.family)
            return
        known = [*self.links, *self.circuits]
        if isinstance(spec, FlowCheckSpec):
            self._hosts((*path, "flow"), spec.flow, spec.family)
        elif isinstance(spec, QueueCheckSpec):
            self._hosts((*path, "queue"), spec.queue, spec.family)
        elif isinstance(spec, NeverCheckSpec):
            self._hosts((*path, "never"), spec.never, spec.family)
            known += self.nodes
        if spec.link not in known:
            self.unknown((*path, "link"), "link or circuit", spec.link, known)

    def _hosts(self, path: DocumentPath, pair: tuple[str, str], family: int) -> None:
        """Two hosts of the lab: both have to speak."""
        for number, name in enumerate(pair):
            if name in self.hosts:
                self._has_family((*path, number), name, family)
            else:
                self.unknown((*path, number), "host", name, list(self.hosts))
        if pair[0] == pair[1]:
            self.context.report((*path, 1), f"{pair[0]} sends nothing to itself", "name another host")

    def _class(self, path: DocumentPath, name: str) -> None:
        """A class of some site's policy, or of the one that speaks where no site has any."""
        policies = [policy_of(site.qos.policy) for site in self.context.topology.sites.values() if site.qos]
        known = {one.name for policy in (*policies, profile("teams")) for one in policy.classes}
        if name not in known | {"default"}:
            self.unknown(path, "class", name, sorted(known))

    def frame(self, path: DocumentPath, spec: FrameCheckSpec) -> None:
        """A frame check."""
        if spec.frame not in self.links:
            self.unknown((*path, "frame"), "link", spec.frame, self.links)


def _hosts(context: Context) -> dict[str, list[Address]]:
    topology = context.topology
    found: dict[str, list[Address]] = {}
    for site in topology.sites.values():
        found.update(site.hosts)
    for vnet in topology.vnets.values():
        found.update(vnet.hosts)
    if has_internet(topology):
        found.update(topology.internet.hosts)
    if context.layout.has_core():
        ends = front_ends(topology.internet.names)
        found.update({end.name: [a.ip for a in end.front_end] for end in ends})
    return found


def _vrfs(layout: Layout) -> list[str]:
    return [
        names.vrf(names.msee(place, number), name, peering)
        for name, circuit in layout.circuits.items()
        for number, place in enumerate(circuit.sites, 1)
        for peering in circuit.peerings
    ]


def _address(text: str) -> Address | None:
    try:
        return ip_address(text) if "%" not in text else None
    except ValueError:
        return None
