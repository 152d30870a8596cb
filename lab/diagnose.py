"""Why a session of the lab is not up: what BIRD says, and what the lab around it shows. Pure.

BIRD alone often knows no more than "nobody answers". Beside it lie the carrier of the interface, the
neighbour table, the kernel's count of refused TCP MD5 signatures and the tags that arrived where nobody
waits for them; the first of these that explains the silence is the answer.
"""

from __future__ import annotations

from typing import Any

from edge.bgp.diagnosis import why_down
from edge.ike.words import why_no_keys
from lab.lookup import node_of, other_end
from lab.model import LabModel, PeeringEnd
from lab.places import circuit_links
from lab.service.sessions import sessions_of
from lab.sessions import SessionState

_UNRESOLVED = {"failed", "incomplete"}
_SILENT_ERRORS = ("Connection timed out", "Connection closed", "Connection reset", "No route to host")
"""Last errors that a wrong shared key may cause; any other is a better reason than the MD5 counter."""


def why_not_established(
    model: LabModel, state: SessionState, end: PeeringEnd | None, status: dict[str, Any]
) -> str:
    """One sentence for an operator; empty when the session is up.

    end: the end of the peering that the session belongs to, None for sessions inside the site or
    Microsoft. status: see lab.access.
    """
    if state.established:
        return ""
    if state.found is None:
        return state.problem
    if end is not None and (shut_by := _shut_by_service(model, end)):
        return shut_by
    found, at = state.found, f"{state.namespace}:{state.session.interface}"
    error = found.last_error or found.info
    shut = found.state == "down"
    if not shut and "Route limit exceeded" not in error:
        link = status.get("links", {}).get(at, {})
        if link.get("up") is False:
            return f"{at} is shut down: bring it up"
        if link.get("carrier") is False:
            return f"{at} has no carrier: look at the link and at its other end"
        keys = status.get("ike", {}).get(state.namespace, {}).get(state.session.interface)
        if keys is not None and not keys["established"]:
            return why_no_keys(keys["remote"], keys["trouble"])
        if _unresolved(state, status):
            asked = "ARP" if state.session.family == 4 else "neighbour discovery"
            reason = f"{state.session.neighbor} does not answer {asked} on {at}"
            strays = _stray_tags(model, end, status) if end else ""
            return f"{reason}; {strays}" if strays else f"{reason}: check VLAN tags and addresses"
    failures = _md5_failures(state, model, end, status) if _may_be_the_key(found.last_error) else None
    return why_down(found, failures).removeprefix(f"{found.name}: ")


_BLOCKED = {
    "NotProvisioned": "circuit {circuit} is {provider_state}: edgelab provider provision {circuit}",
    "PeeringDisabled": "the {peering} peering of circuit {circuit} is disabled: "
    "edgelab peering enable {circuit} {peering}",
    "ValidationNeeded": "Microsoft has not validated the advertised prefixes of circuit {circuit}: "
    "edgelab microsoft validate {circuit}, or approve",
    "LinkDisabled": "the {path} link of port pair {port} is disabled: edgelab port enable {port} {path}",
}
"""Why the service keeps a session shut, with the way out."""


def _shut_by_service(model: LabModel, end: PeeringEnd) -> str:
    """Why the MSEE has a peering's sessions shut by the service's word; empty when it has not."""
    circuit = model.state.circuits.get(end.circuit)
    peering = circuit.peerings.get(end.peering) if circuit is not None else None
    if circuit is None or peering is None:
        return ""
    for session in sessions_of(model.state, circuit, peering):
        if session.path == end.connection and session.blocked in _BLOCKED:
            return _BLOCKED[session.blocked].format(
                circuit=circuit.name,
                peering=end.peering,
                provider_state=circuit.provider_state,
                path=end.connection,
                port=circuit.port,
            )
    return ""


def _unresolved(state: SessionState, status: dict[str, Any]) -> bool:
    neighbor = str(state.session.neighbor)
    return any(
        entry.get("address") == neighbor
        and entry.get("device") == state.session.interface
        and str(entry.get("state", "")).lower() in _UNRESOLVED
        for entry in status.get("neighbors", {}).get(state.namespace, ())
    )


def _may_be_the_key(last_error: str) -> bool:
    return not last_error or any(words in last_error for words in _SILENT_ERRORS)


def _md5_failures(
    state: SessionState, model: LabModel, end: PeeringEnd | None, status: dict[str, Any]
) -> int | None:
    """Refused signatures at Microsoft's end: that namespace holds this peering's sessions only."""
    if end is None and state.session.password is None:
        # No key to be wrong: what was refused in this namespace was another session's.
        return None
    counted = status.get("md5_failures", {})
    far = other_end(model, end) if end else None
    microsoft = next((item for item in (end, far) if item and item.side == "microsoft"), None)
    value = counted.get(microsoft.namespace if microsoft else state.namespace)
    return int(value) if value is not None else None


def _stray_tags(model: LabModel, end: PeeringEnd, status: dict[str, Any]) -> str:
    """Tags that share an id with the peering and were dropped on its connection; empty when none were.

    What others dropped of our frames says more than what we dropped of theirs.
    """
    far = other_end(model, end)
    vids = {tag.vid for item in (end, far) if item for tag in item.tags}
    ports = _ports_on_the_way(model, end, far)
    ours: list[str] = []
    theirs: list[str] = []
    for port in status.get("tag_counters", {}).get("ports", ()):
        node = node_of(model, str(port.get("port")).partition(":")[0])
        for unknown in port.get("unknown", ()) if port.get("port") in ports else ():
            tags = tuple(tag["vid"] for tag in unknown.get("tags", ()))
            if vids & set(tags):
                name = node.name if node else port["port"]
                words = f"{name} dropped {unknown['packets']} frames tagged {'/'.join(map(str, tags))}"
                (ours if name == end.node else theirs).append(words)
    if not ours and not theirs:
        return ""
    # Microsoft's tags are those of the order: what can be wrong is the customer's device.
    customer = next((item.node for item in (end, far) if item and item.side == "customer"), end.node)
    return f"{', '.join(theirs or ours)} that no peering uses: check the VLAN ids of {customer}"


def _ports_on_the_way(model: LabModel, end: PeeringEnd, far: PeeringEnd | None) -> set[str]:
    ends = {item.node for item in (end, far) if item}
    ports = {
        f"{router.namespace}:{port.name}"
        for router in model.routers
        if router.name in ends
        for port in router.ports
    }
    for link in circuit_links(model, end.circuit, end.connection):
        ports |= {str(link.a), str(link.b)}
    return ports
