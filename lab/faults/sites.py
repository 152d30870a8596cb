"""Faults of whole boxes and places: a node or a site without power, a provider that throttles. Pure."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

from edge.document.suggest import hint_for
from edge.errors import UsageError
from edge.net.objects.frames import VirtualCircuit
from lab.faults.ranges import SOME_RATE
from lab.faults.targets import node_named, site_names
from lab.faults.units import RATE, Options, option
from lab.faults.wires import down
from lab.model import LabModel
from lab.topology import names

CONNECTIONS = ("primary", "secondary")


@dataclass(frozen=True, slots=True)
class Throttle(Options):
    """Options of throttle."""

    rate: int = option(
        RATE, "10M", "What the provider lets through, per direction and connection.", SOME_RATE
    )


def node_down(model: LabModel, target: str, options: Options, phase: int) -> LabModel:
    """All ports of a node are shut, as when it has no power."""
    return _without_power(model, node_named(model, target).namespaces)


def site_down(model: LabModel, target: str, options: Options, phase: int) -> LabModel:
    """All ports of all nodes of a site are shut: routers, LAN, hosts, Internet edge."""
    return _without_power(model, site_spaces(model, target))


def site_spaces(model: LabModel, target: str) -> list[str]:
    """The namespaces of all nodes of a site. Raises UsageError."""
    site = model.document.get("sites", {}).get(target)
    if site is None:
        raise UsageError(f"no site {target}; {hint_for(target, site_names(model))}")
    here = {names.internet_edge(target), names.lan_switch(target), *site["hosts"]}
    # A router of the lab's is its name alone, a user's own one says more.
    here |= {edge if isinstance(edge, str) else edge["name"] for edge in site["edges"]}
    return [space for node in model.nodes if node.name in here for space in node.namespaces]


def _without_power(model: LabModel, spaces: Collection[str]) -> LabModel:
    ends = [at for link in model.links for at in (link.a, link.b) if at.namespace in spaces]
    if not ends:
        raise UsageError("no link ends there, so nothing would be down")
    return down(model, tuple(ends))


def throttle(model: LabModel, target: str, options: Throttle, phase: int) -> LabModel:
    """The provider polices a circuit to less than was ordered, as a throttle that was left low."""
    wires = {names.circuit_link(target, one) for one in CONNECTIONS}
    found = [one for fabric in model.fabrics for one in fabric.circuits if _is_of(one, wires)]
    if not found:
        known = [one.name for one in model.circuits]
        hint = "its provider polices nothing" if target in known else hint_for(target, known)
        raise UsageError(f"no circuit {target} to throttle; {hint}")
    slower = {one: replace(one, rate_bps=options.rate, tolerance_percent=0) for one in found}
    fabrics = tuple(
        replace(fabric, circuits=tuple(slower.get(one, one) for one in fabric.circuits))
        for fabric in model.fabrics
    )
    return replace(model, fabrics=fabrics)


def _is_of(circuit: VirtualCircuit, wires: set[str]) -> bool:
    """Whether it is one of these wires' cross-connections, or shares their policer."""
    return circuit.name in wires or circuit.policer in wires
