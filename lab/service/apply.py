"""The service's only door: a state and a command in, the new state or a refusal out."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from lab.service import commands as c
from lab.service.handlers import (
    circuits,
    connections,
    filters,
    microsoft,
    networks,
    peerings,
    ports,
    provider,
    reach,
)
from lab.service.refusal import Refusal
from lab.service.state import Accepted, Event, Outcome, State

Handler = Callable[[State, Any], Outcome]

HANDLERS: dict[type, Handler] = {
    c.CreateCircuit: circuits.create_circuit,
    c.ChangeBandwidth: circuits.change_bandwidth,
    c.ChangeSku: circuits.change_sku,
    c.ChangeFamily: circuits.change_family,
    c.SetRateLimit: circuits.set_rate_limit,
    c.DeleteCircuit: circuits.delete_circuit,
    c.CreateAuthorization: circuits.create_authorization,
    c.RevokeAuthorization: circuits.revoke_authorization,
    c.PutPeering: peerings.put_peering,
    c.DisablePeering: peerings.disable_peering,
    c.EnablePeering: peerings.enable_peering,
    c.ResetPeering: peerings.reset_peering,
    c.DeletePeering: peerings.delete_peering,
    c.CreateRouteFilter: filters.create_route_filter,
    c.UpdateRouteFilter: filters.update_route_filter,
    c.DeleteRouteFilter: filters.delete_route_filter,
    c.AttachFilter: filters.attach_filter,
    c.DetachFilter: filters.detach_filter,
    c.EnableGlobalReach: reach.enable_global_reach,
    c.DisableGlobalReach: reach.disable_global_reach,
    c.CreatePortPair: ports.create_port_pair,
    c.ChangeEncapsulation: ports.change_encapsulation,
    c.SetLinkAdminState: ports.set_link_admin_state,
    c.SetMacsec: ports.set_macsec,
    c.DeletePortPair: ports.delete_port_pair,
    c.StartProvisioning: provider.start_provisioning,
    c.Provision: provider.provision,
    c.StartDeprovisioning: provider.start_deprovisioning,
    c.Deprovision: provider.deprovision,
    c.SetThrottle: provider.set_throttle,
    c.SetProviderPort: provider.set_provider_port,
    c.RaiseQuota: microsoft.raise_quota,
    c.AuthorizeMicrosoft365: microsoft.authorize_microsoft_365,
    c.RegisterPrefix: microsoft.register_prefix,
    c.ValidatePrefixes: microsoft.validate_prefixes,
    c.ApprovePrefix: microsoft.approve_prefix,
    c.BeginMaintenance: microsoft.begin_maintenance,
    c.EndMaintenance: microsoft.end_maintenance,
    c.ReportPrefixes: microsoft.report_prefixes,
    c.CreateVnet: networks.create_vnet,
    c.SetAddressSpace: networks.set_address_space,
    c.SetVnetCommunity: networks.set_vnet_community,
    c.UseRemoteGateway: networks.use_remote_gateway,
    c.DeleteVnet: networks.delete_vnet,
    c.CreateGateway: networks.create_gateway,
    c.ResizeGateway: networks.resize_gateway,
    c.SetGatewayTraffic: networks.set_gateway_traffic,
    c.SetSummaries: networks.set_summaries,
    c.DeleteGateway: networks.delete_gateway,
    c.LinkVnet: connections.link_vnet,
    c.Redeem: connections.redeem,
    c.SetWeight: connections.set_weight,
    c.SetFastPath: connections.set_fast_path,
    c.Unlink: connections.unlink,
}
"""Command -> the function that answers it."""


def apply(state: State, command: c.Command) -> Outcome:
    """What the service answers to a command. The given state is never changed."""
    return HANDLERS[type(command)](state, command)


@dataclass(frozen=True, slots=True)
class Refused:
    """Where a list of commands stopped: which one (from 0), why, and the state up to there."""

    number: int
    command: c.Command
    refusal: Refusal
    state: State


def apply_all(state: State, commands: Iterable[c.Command]) -> Accepted | Refused:
    """All commands in their order; the first refusal ends it."""
    events: list[Event] = []
    for number, command in enumerate(commands):
        outcome = apply(state, command)
        if isinstance(outcome, Refusal):
            return Refused(number, command, outcome, state)
        state = outcome.state
        events += outcome.events
    return Accepted(state, tuple(events))
