"""What can be asked of the service: one frozen dataclass for each act, none of them does anything.

`circuits` and `networks` have what customers do, `operators` what the provider and Microsoft do and what
routers report. `apply` finds the function that answers each.
"""

from __future__ import annotations

from lab.service.commands.circuits import (
    AttachFilter,
    ChangeBandwidth,
    ChangeEncapsulation,
    ChangeFamily,
    ChangeSku,
    CreateAuthorization,
    CreateCircuit,
    CreatePortPair,
    CreateRouteFilter,
    DeleteCircuit,
    DeletePeering,
    DeletePortPair,
    DeleteRouteFilter,
    DetachFilter,
    DisableGlobalReach,
    DisablePeering,
    EnableGlobalReach,
    EnablePeering,
    PutPeering,
    ResetPeering,
    RevokeAuthorization,
    SetLinkAdminState,
    SetMacsec,
    SetRateLimit,
    UpdateRouteFilter,
)
from lab.service.commands.networks import (
    CreateGateway,
    CreateVnet,
    DeleteGateway,
    DeleteVnet,
    LinkVnet,
    Redeem,
    ResizeGateway,
    SetAddressSpace,
    SetFastPath,
    SetGatewayTraffic,
    SetSummaries,
    SetVnetCommunity,
    SetWeight,
    Unlink,
    UseRemoteGateway,
)
from lab.service.commands.operators import (
    ApprovePrefix,
    AuthorizeMicrosoft365,
    BeginMaintenance,
    Deprovision,
    EndMaintenance,
    Provision,
    RaiseQuota,
    RegisterPrefix,
    ReportPrefixes,
    SetProviderPort,
    SetThrottle,
    StartDeprovisioning,
    StartProvisioning,
    ValidatePrefixes,
)

Command = (
    CreateCircuit
    | ChangeBandwidth
    | ChangeSku
    | ChangeFamily
    | SetRateLimit
    | DeleteCircuit
    | PutPeering
    | DisablePeering
    | EnablePeering
    | ResetPeering
    | DeletePeering
    | CreateAuthorization
    | RevokeAuthorization
    | CreateRouteFilter
    | UpdateRouteFilter
    | DeleteRouteFilter
    | AttachFilter
    | DetachFilter
    | EnableGlobalReach
    | DisableGlobalReach
    | CreatePortPair
    | ChangeEncapsulation
    | SetLinkAdminState
    | SetMacsec
    | DeletePortPair
    | StartProvisioning
    | Provision
    | StartDeprovisioning
    | Deprovision
    | SetThrottle
    | SetProviderPort
    | RaiseQuota
    | AuthorizeMicrosoft365
    | RegisterPrefix
    | ValidatePrefixes
    | ApprovePrefix
    | BeginMaintenance
    | EndMaintenance
    | ReportPrefixes
    | CreateVnet
    | SetAddressSpace
    | SetVnetCommunity
    | UseRemoteGateway
    | DeleteVnet
    | CreateGateway
    | ResizeGateway
    | SetGatewayTraffic
    | SetSummaries
    | DeleteGateway
    | LinkVnet
    | Redeem
    | SetWeight
    | SetFastPath
    | Unlink
)
"""Any command."""

__all__ = [
    "ApprovePrefix",
    "AttachFilter",
    "AuthorizeMicrosoft365",
    "BeginMaintenance",
    "ChangeBandwidth",
    "ChangeEncapsulation",
    "ChangeFamily",
    "ChangeSku",
    "Command",
    "CreateAuthorization",
    "CreateCircuit",
    "CreateGateway",
    "CreatePortPair",
    "CreateRouteFilter",
    "CreateVnet",
    "DeleteCircuit",
    "DeleteGateway",
    "DeletePeering",
    "DeletePortPair",
    "DeleteRouteFilter",
    "DeleteVnet",
    "Deprovision",
    "DetachFilter",
    "DisableGlobalReach",
    "DisablePeering",
    "EnableGlobalReach",
    "EnablePeering",
    "EndMaintenance",
    "LinkVnet",
    "Provision",
    "PutPeering",
    "RaiseQuota",
    "Redeem",
    "RegisterPrefix",
    "ReportPrefixes",
    "ResetPeering",
    "ResizeGateway",
    "RevokeAuthorization",
    "SetAddressSpace",
    "SetFastPath",
    "SetGatewayTraffic",
    "SetLinkAdminState",
    "SetMacsec",
    "SetProviderPort",
    "SetRateLimit",
    "SetSummaries",
    "SetThrottle",
    "SetVnetCommunity",
    "SetWeight",
    "StartDeprovisioning",
    "StartProvisioning",
    "Unlink",
    "UpdateRouteFilter",
    "UseRemoteGateway",
    "ValidatePrefixes",
]
