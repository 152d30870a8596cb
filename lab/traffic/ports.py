"""Which UDP ports a call uses at its two ends, by the profile of edge.qos.profiles that knows them. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from edge.document.suggest import hint_for
from edge.errors import UsageError
from edge.model import Address
from edge.qos import profiles as p
from edge.qos.model import PortRange
from lab.traffic.media import MEDIA, Medium

PortsOf = Mapping[Medium, PortRange]


@dataclass(frozen=True, slots=True)
class CallPorts:
    """near: of the caller. far: of who is called. relay: of Microsoft's relays, where they are called."""

    near: PortsOf
    far: PortsOf
    relay: PortsOf | None = None

    def relayed(self, address: Address) -> bool:
        """Whether a relay of Microsoft's is called."""
        return self.relay is not None and any(
            address.version == network.version and address in network for network in p.M365_MEDIA
        )

    def far_of(self, address: Address) -> PortsOf:
        """The ports at that address."""
        return self.relay if self.relay is not None and self.relayed(address) else self.far


def _ports(flows: tuple[p.Flow, ...]) -> PortsOf:
    """The first range of each medium in a table; the ranges of a table with one row are for all."""
    by_class = {flow.class_name: flow.ports for flow in reversed(flows)}
    only = flows[0].ports if len(flows) == 1 else None
    return {medium: only or by_class[medium] for medium in MEDIA}


CALL_PORTS: Mapping[str, CallPorts] = {
    "teams": CallPorts(_ports(p.TEAMS_CLIENTS), _ports(p.TEAMS_CLIENTS), _ports(p.TEAMS_RELAYS)),
    "skype-online": CallPorts(
        _ports(p.SKYPE_ONLINE_CLIENTS), _ports(p.SKYPE_ONLINE_CLIENTS), _ports(p.TEAMS_RELAYS[-1:])
    ),
    "skype-server": CallPorts(_ports(p.SKYPE_SERVER_CLIENTS), _ports(p.SKYPE_SERVERS)),
    "skype-server-clients": CallPorts(_ports(p.SKYPE_SERVER_CLIENTS), _ports(p.SKYPE_SERVER_CLIENTS)),
    "skype-server-conferencing": CallPorts(_ports(p.SKYPE_SERVERS), _ports(p.SKYPE_SERVER_CLIENTS)),
    "skype-server-edge": CallPorts(_ports(p.SKYPE_SERVER_CLIENTS), _ports(p.SKYPE_EDGE)),
}
"""By the profile's name (facts 6.2). Two clients call each other from equal ranges; a client of Skype for
Business Online reaches Microsoft at the relay's one port, one of Teams at a port for each medium."""


def call_ports(profile: str) -> CallPorts:
    """The ports of a profile. Raises UsageError with the nearest name when it knows of none."""
    found = CALL_PORTS.get(profile)
    if found is None:
        raise UsageError(f"no ports of calls are known for {profile}; {hint_for(profile, CALL_PORTS)}")
    return found


CALL_DSCP: Mapping[Medium, int] = {
    medium: flow.dscp for medium in MEDIA for flow in p.TEAMS_CLIENTS if flow.class_name == medium
}
"""What a client that marks its own packets puts there (facts 6.1)."""
