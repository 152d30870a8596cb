"""Checks: what they name must be there, and must be able to hold."""

from __future__ import annotations

from ipaddress import ip_address

from edge.model import Address
from lab.service.services import FRONT_ENDS
from lab.topology import names
from lab.topology.check_schema import (
    FrameCheckSpec,
    PathCheckSpec,
    PingCheckSpec,
    RouteCheckSpec,
    SessionsCheckSpec,
)
from lab.topology.derivation import ALL
from lab.topology.orders import CONNECTIONS
from lab.topology.public import has_core, has_internet
from lab.topology.rules.context import Context
from lab.topology.rules.naming import claims
from lab.topology.schema import Topology
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
        else:
            rules.frame(path, spec)


class _Rules:
    """The names of a lab, and what checks may say about them."""

    def __init__(self, context: Context) -> None:
        topology = context.topology
        self.context = context
        self.circuits = topology.circuits
        self.hosts = _hosts(topology)
        found = list(claims(topology))
        self.nodes = [claim.name for claim in found if claim.what == "node"]
        self.links = [claim.name for claim in found if claim.what == "link"]
        vrfs = _vrfs(topology)
        self.addressed = [*(claim.name for claim in found if claim.addressed), *vrfs]
        self.hops = [*self.nodes, *vrfs]
        self.speakers = [*(claim.name for claim in found if claim.bgp), *vrfs]
        self.internet = has_internet(topology)

    def unknown(self, path: DocumentPath, what: str, name: str, known: list[str]) -> None:
        """Report a name that the lab does not have, unless a part that was cut off may have had it."""
        if all(one[0] == "checks" for one in self.context.cut):
            hint = hint_for(name, known)
            if name in [service.name for service in FRONT_ENDS]:
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

    def path(self, path: DocumentPath, spec: PathCheckSpec) -> None:
        """A path check."""
        self.pair((*path, "path"), spec.path, spec.family)
        if spec.via == names.INTERNET:
            if not self.internet:
                self.unknown((*path, "via"), "way to the", "internet", list(self.circuits))
            if spec.peering is not None:
                self.context.report(
                    (*path, "peering"), "the way over the Internet crosses no peering", "take the key out"
                )
        elif spec.via not in self.circuits:
            self.unknown((*path, "via"), "circuit", spec.via, [*self.circuits, names.INTERNET])
        self.peering(path, spec.via, spec.peering)
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
        """A route check: a router that speaks BGP, or the namespace of one of its VRFs."""
        if spec.route[0] not in self.speakers:
            self.unknown((*path, "route", 0), "router that speaks BGP:", spec.route[0], self.speakers)

    def frame(self, path: DocumentPath, spec: FrameCheckSpec) -> None:
        """A frame check."""
        if spec.frame not in self.links:
            self.unknown((*path, "frame"), "link", spec.frame, self.links)


def _hosts(topology: Topology) -> dict[str, list[Address]]:
    found: dict[str, list[Address]] = {}
    for site in topology.sites.values():
        found.update(site.hosts)
    for vnet in topology.vnets.values():
        found.update(vnet.hosts)
    if has_internet(topology):
        found.update(topology.internet.hosts)
    if has_core(topology):
        found.update({service.name: [a.ip for a in service.front_end] for service in FRONT_ENDS})
    return found


def _vrfs(topology: Topology) -> list[str]:
    return [
        names.vrf(names.msee(circuit.location, number), name, peering)
        for name, circuit in topology.circuits.items()
        for number, _ in enumerate(CONNECTIONS, 1)
        for peering in ("private", "microsoft")
        if getattr(circuit.peerings, peering) is not None
    ]


def _address(text: str) -> Address | None:
    try:
        return ip_address(text) if "%" not in text else None
    except ValueError:
        return None
