"""ExpressRoute Direct: port pairs, their links, MACsec."""

from __future__ import annotations

from dataclasses import replace

from lab.service import locations
from lab.service.bandwidth import DIRECT_GBPS
from lab.service.commands import (
    ChangeEncapsulation,
    CreatePortPair,
    DeletePortPair,
    SetLinkAdminState,
    SetMacsec,
)
from lab.service.handlers.common import refuse_name
from lab.service.refusal import Refusal
from lab.service.resources import PATHS, Path, PortLink, PortPair
from lab.service.state import Accepted, Event, Outcome, State, drop, find, put


def create_port_pair(state: State, command: CreatePortPair) -> Outcome:
    """Order one; the encapsulation is chosen here for good (facts 1.2, 1.3)."""
    if no := refuse_name(state.ports, "port pair", command.name):
        return no
    place = locations.find(command.location)
    if place is None:
        return Refusal(
            "LocationUnknown",
            f"there is no peering location {command.location!r}",
            "use one such as Amsterdam",
        )
    if command.bandwidth_gbps not in DIRECT_GBPS:
        return Refusal(
            "PortSpeed",
            f"port pairs of {command.bandwidth_gbps} Gbit/s are not on offer",
            f"order one of {', '.join(map(str, DIRECT_GBPS))}",
        )
    made = PortPair(
        command.name,
        command.scope,
        place.name,
        command.bandwidth_gbps,
        command.encapsulation,
        command.billing,
    )
    return Accepted(replace(state, ports=put(state.ports, made.name, made)))


def change_encapsulation(state: State, command: ChangeEncapsulation) -> Outcome:
    """No: it is chosen at creation (facts 1.2). Asking for what is there changes nothing."""
    port = find(state.ports, "port pair", command.port)
    if isinstance(port, Refusal):
        return port
    if port.encapsulation == command.encapsulation:
        return Accepted(state)
    return Refusal(
        "EncapsulationFixed",
        f"port pair {port.name} is {port.encapsulation} for good",
        f"create another port pair with {command.encapsulation}",
    )


def _with_link(state: State, port: PortPair, link: PortLink) -> State:
    first, second = (link if one.path == link.path else one for one in port.links)
    return replace(state, ports=put(state.ports, port.name, replace(port, links=(first, second))))


def set_link_admin_state(state: State, command: SetLinkAdminState) -> Outcome:
    """One link up or down; billing begins with the first that is enabled (facts 1.3)."""
    port = find(state.ports, "port pair", command.port)
    if isinstance(port, Refusal):
        return port
    link = replace(port.link(command.path), admin_state=command.admin_state)
    return Accepted(_with_link(state, port, link))


def set_macsec(state: State, command: SetMacsec) -> Outcome:
    """One link at a time: the change is not atomic, so the other one should carry the traffic (facts 9)."""
    port = find(state.ports, "port pair", command.port)
    if isinstance(port, Refusal):
        return port
    if command.macsec is not None and not (command.macsec.ckn and command.macsec.cak):
        return Refusal(
            "MacsecSecrets",
            "MACsec needs the names of both secrets, CKN and CAK",
            "put both into the key vault and name them",
        )
    after = _with_link(state, port, replace(port.link(command.path), macsec=command.macsec))
    if other_link_down(port, command.path):
        words = (
            f"the other link of {port.name} is disabled, so nothing carries traffic while this one changes"
        )
        return Accepted(after, (Event("MacsecWithoutBackup", port.name, words),))
    return Accepted(after)


def other_link_down(port: PortPair, path: Path) -> bool:
    """Whether the link that should carry the traffic meanwhile is disabled."""
    return port.link(PATHS[1 - PATHS.index(path)]).admin_state == "Disabled"


def delete_port_pair(state: State, command: DeletePortPair) -> Outcome:
    """Give it back; its circuits go first."""
    port = find(state.ports, "port pair", command.port)
    if isinstance(port, Refusal):
        return port
    circuits = state.circuits_on(port.name)
    if circuits:
        return Refusal(
            "PortInUse",
            f"port pair {port.name} has the circuits {', '.join(one.name for one in circuits)}",
            "delete them first",
        )
    return Accepted(replace(state, ports=drop(state.ports, [port.name])))
