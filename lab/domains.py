"""Routing domains of a lab: which namespaces can be meant by an address that strangers share. Pure."""

from __future__ import annotations

from collections import defaultdict

from lab.model import LabModel

SHARED = ("provider", "core", "internet")
"""Kinds of nodes that carry everybody's packets, so that they join nobody."""

CORE = ("pe", "p")
"""Kinds of nodes whose VRFs are joined by their names: those of one customer in a provider's core."""


def domain_of(model: LabModel, namespace: str) -> frozenset[str]:
    """The namespaces joined to one by wires, peerings and VPNs: a customer's routers, networks and VRFs."""
    shared = {space for node in model.nodes if node.kind in SHARED for space in node.namespaces}
    node_kinds = {node.name: node.kind for node in model.nodes}
    joined: dict[str, set[str]] = defaultdict(set)
    for link in model.links:
        ends = {link.a.namespace, link.b.namespace}
        if not ends & shared:
            for one in ends:
                joined[one] |= ends
    vpns: dict[str, set[str]] = defaultdict(set)
    for router in model.routers:
        if node_kinds[router.name] in CORE:
            for vrf in router.vrfs:
                vpns[vrf.name].add(vrf.namespace)
    peerings: dict[tuple[str, str, str], set[str]] = defaultdict(set)
    for end in model.peering_ends:
        peerings[end.circuit, end.peering, end.connection].add(end.namespace)
    for spaces in (*peerings.values(), *vpns.values()):
        for one in spaces:
            joined[one] |= spaces
    found, left = {namespace}, [namespace]
    while left:
        for other in joined[left.pop()] - found:
            found.add(other)
            left.append(other)
    return frozenset(found)
