"""The service's commands as words of the command line: one table, from which all verbs are made. Pure.

A row says how a command of `lab.service.commands` is called (`edgelab GROUP VERB`), which of its fields are
arguments, which are fixed by the verb, and gives an example. The rest follows from the command's own
fields: a field with a default is an option, one without is a required option, a flag where it is a yes or no.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from lab.service import commands as c

Table = str
"""A table of `lab.service.state.State` by its name, for the completion of names."""

NAMES: dict[str, Table] = {
    "circuit": "circuits",
    "peer_circuit": "circuits",
    "connection": "connections",
    "gateway": "gateways",
    "port": "ports",
    "vnet": "vnets",
    "hub": "vnets",
}
"""Field -> the table that knows its values, whatever the command."""


@dataclass(frozen=True, slots=True)
class Verb:
    """One row.

    arguments: fields in the order of the line; the last may take several words. fixed: fields that the verb
    itself says. options: field -> another name than its own. names: field -> table, beside NAMES, of things
    that must be there.
    """

    group: str
    name: str
    command: type
    arguments: tuple[str, ...]
    example: str
    fixed: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, str] = field(default_factory=dict)
    names: Mapping[str, Table] = field(default_factory=dict)
    help: str = ""

    @property
    def summary(self) -> str:
        """What it does, in a line: the row's words, else the first of the command's docstring."""
        return self.help or (self.command.__doc__ or "").strip().partition("\n")[0]

    @property
    def optional(self) -> tuple[dataclasses.Field[Any], ...]:
        """The fields that are options."""
        said = {*self.arguments, *self.fixed}
        return tuple(one for one in dataclasses.fields(self.command) if one.name not in said)


_BANDWIDTH = {"bandwidth_mbps": "bandwidth", "bandwidth_gbps": "bandwidth", "mbps": "rate"}

VERBS: tuple[Verb, ...] = (
    Verb(
        "circuit",
        "create",
        c.CreateCircuit,
        ("name",),
        "lon --provider Equinix --location London --tier premium --family metered --bandwidth 200M --site hq",
        options=_BANDWIDTH,
        help="Order a circuit: through a provider at a location, or on a Direct port pair.",
    ),
    Verb("circuit", "bandwidth", c.ChangeBandwidth, ("circuit", "bandwidth_mbps"), "ams 500M"),
    Verb("circuit", "tier", c.ChangeSku, ("circuit", "tier"), "ams standard"),
    Verb("circuit", "family", c.ChangeFamily, ("circuit", "family"), "ams unlimited"),
    Verb(
        "circuit",
        "limit",
        c.SetRateLimit,
        ("circuit",),
        "direct1",
        fixed={"enabled": True},
        help="Limit a circuit on Direct to its bandwidth.",
    ),
    Verb(
        "circuit",
        "unlimit",
        c.SetRateLimit,
        ("circuit",),
        "direct1",
        fixed={"enabled": False},
        help="Take the limit of a circuit on Direct away.",
    ),
    Verb("circuit", "delete", c.DeleteCircuit, ("circuit",), "ams"),
    Verb(
        "peering",
        "set",
        c.PutPeering,
        ("circuit", "peering"),
        "ams private --vlan 100 --peer-asn 65010 --v4 192.168.15.0/29",
        options={"advertised_prefixes": "advertise"},
    ),
    Verb("peering", "disable", c.DisablePeering, ("circuit", "peering"), "ams private"),
    Verb(
        "peering",
        "enable",
        c.EnablePeering,
        ("circuit", "peering"),
        "ams private",
        help="Open the sessions of a peering again.",
    ),
    Verb("peering", "reset", c.ResetPeering, ("circuit", "peering"), "ams private"),
    Verb("peering", "delete", c.DeletePeering, ("circuit", "peering"), "ams microsoft"),
    Verb("authorization", "create", c.CreateAuthorization, ("circuit", "name"), "ams fabrikam"),
    Verb(
        "authorization",
        "revoke",
        c.RevokeAuthorization,
        ("circuit", "name"),
        "ams fabrikam",
        names={"name": "authorizations"},
    ),
    Verb("filter", "create", c.CreateRouteFilter, ("name", "entries"), "office teams exchange 12076:51002"),
    Verb(
        "filter",
        "set",
        c.UpdateRouteFilter,
        ("name", "entries"),
        "ams-filter teams",
        names={"name": "filters"},
    ),
    Verb("filter", "attach", c.AttachFilter, ("circuit", "name"), "ams office", names={"name": "filters"}),
    Verb("filter", "detach", c.DetachFilter, ("circuit",), "ams"),
    Verb("filter", "delete", c.DeleteRouteFilter, ("name",), "office", names={"name": "filters"}),
    Verb(
        "gateway",
        "create",
        c.CreateGateway,
        ("name", "vnet"),
        "spoke-gw spoke --sku ErGw1AZ --subnet 10.60.255.0/27",
        options={"subnets": "subnet"},
        help="Put an ExpressRoute gateway into a virtual network.",
    ),
    Verb("gateway", "resize", c.ResizeGateway, ("gateway", "sku"), "hub-gw ErGw3AZ"),
    Verb(
        "gateway",
        "traffic",
        c.SetGatewayTraffic,
        ("gateway", "allow_remote_vnet_traffic"),
        "hub-gw on",
        options={"allow_virtual_wan_traffic": "virtual-wan"},
    ),
    Verb("gateway", "summarize", c.SetSummaries, ("gateway", "prefixes"), "hub-gw 10.60.0.0/14"),
    Verb("gateway", "delete", c.DeleteGateway, ("gateway",), "hub-gw"),
    Verb(
        "connection", "create", c.LinkVnet, ("name", "gateway", "circuit"), "hub-lon hub-gw lon --weight 10"
    ),
    Verb(
        "connection",
        "redeem",
        c.Redeem,
        ("name", "gateway", "circuit", "authorization_key"),
        "theirs hub-gw ams 2d3c9e1a-7c54-5d1e-9f0a-0c1b2a3d4e5f",
    ),
    Verb("connection", "weight", c.SetWeight, ("connection", "weight"), "hub-ams 100"),
    Verb(
        "connection",
        "fastpath",
        c.SetFastPath,
        ("connection", "enabled"),
        "hub-ams on",
        help="Let data skip the gateway, or not.",
    ),
    Verb("connection", "delete", c.Unlink, ("connection",), "hub-ams"),
    Verb(
        "vnet", "create", c.CreateVnet, ("name", "region", "address_space"), "spoke westeurope 10.60.0.0/16"
    ),
    Verb("vnet", "space", c.SetAddressSpace, ("vnet", "address_space"), "hub 10.50.0.0/16 10.52.0.0/16"),
    Verb(
        "vnet",
        "community",
        c.SetVnetCommunity,
        ("vnet", "community"),
        "hub 12076:20001",
        help="Give a virtual network a custom community 12076:n, or none.",
    ),
    Verb(
        "vnet",
        "peer",
        c.UseRemoteGateway,
        ("vnet", "hub"),
        "spoke hub",
        help="Peer a virtual network to a hub, whose gateway it uses.",
    ),
    Verb(
        "vnet",
        "unpeer",
        c.UseRemoteGateway,
        ("vnet",),
        "spoke",
        fixed={"hub": ""},
        help="End the use of a hub's gateway.",
    ),
    Verb("vnet", "delete", c.DeleteVnet, ("vnet",), "spoke"),
    Verb(
        "reach",
        "enable",
        c.EnableGlobalReach,
        ("name", "circuit", "peer_circuit", "prefix"),
        "ams-lon ams lon 172.31.0.0/29",
        help="Join two circuits' private peerings.",
    ),
    Verb(
        "reach",
        "disable",
        c.DisableGlobalReach,
        ("name",),
        "ams-lon",
        names={"name": "reaches"},
        help="Part two circuits.",
    ),
    Verb(
        "port",
        "create",
        c.CreatePortPair,
        ("name",),
        "pair1 --location Amsterdam --bandwidth 10 --encapsulation QinQ",
        options={"bandwidth_gbps": "bandwidth"},
    ),
    Verb(
        "port",
        "enable",
        c.SetLinkAdminState,
        ("port", "path"),
        "pair1 primary",
        fixed={"admin_state": "Enabled"},
        help="Enable one link of a port pair.",
    ),
    Verb(
        "port",
        "disable",
        c.SetLinkAdminState,
        ("port", "path"),
        "pair1 primary",
        fixed={"admin_state": "Disabled"},
        help="Disable one link of a port pair.",
    ),
    Verb("port", "encapsulation", c.ChangeEncapsulation, ("port", "encapsulation"), "pair1 Dot1Q"),
    Verb(
        "port",
        "macsec",
        c.SetMacsec,
        ("port", "path", "macsec"),
        "pair1 primary ckn-secret,cak-secret,GcmAes256",
        help="Configure MACsec on one link: CKN,CAK[,CIPHER[,SCI]], names of secrets; or none.",
    ),
    Verb("port", "delete", c.DeletePortPair, ("port",), "pair1"),
    Verb("provider", "begin", c.StartProvisioning, ("circuit",), "lon"),
    Verb("provider", "provision", c.Provision, ("circuit",), "lon"),
    Verb("provider", "end", c.StartDeprovisioning, ("circuit",), "lon"),
    Verb("provider", "deprovision", c.Deprovision, ("circuit",), "lon"),
    Verb("provider", "throttle", c.SetThrottle, ("circuit", "mbps"), "ams 500M"),
    Verb(
        "provider",
        "port",
        c.SetProviderPort,
        ("provider", "location", "bandwidth_mbps"),
        "Equinix Amsterdam 10G",
        options={"overprovision_factor": "factor"},
    ),
    Verb(
        "microsoft",
        "quota",
        c.RaiseQuota,
        ("subscription", "circuits", "circuits_per_region"),
        "contoso 60 20",
    ),
    Verb(
        "microsoft",
        "authorize",
        c.AuthorizeMicrosoft365,
        ("subscription",),
        "contoso",
        fixed={"allowed": True},
        help="Allow a subscription to use Microsoft 365 over ExpressRoute.",
    ),
    Verb(
        "microsoft",
        "unauthorize",
        c.AuthorizeMicrosoft365,
        ("subscription",),
        "contoso",
        fixed={"allowed": False},
        help="Take that back.",
    ),
    Verb(
        "microsoft", "register", c.RegisterPrefix, ("prefix", "asn", "registry"), "203.0.113.0/28 64496 RADB"
    ),
    Verb("microsoft", "validate", c.ValidatePrefixes, ("circuit",), "ams"),
    Verb(
        "microsoft",
        "approve",
        c.ApprovePrefix,
        ("circuit", "prefix"),
        "ams 203.0.113.0/28",
        fixed={"approved": True},
        help="Microsoft's support takes a prefix by hand, by a letter of authorisation.",
    ),
    Verb(
        "microsoft",
        "reject",
        c.ApprovePrefix,
        ("circuit", "prefix"),
        "ams 203.0.113.0/28",
        fixed={"approved": False},
        help="Microsoft's support does not.",
    ),
    Verb("microsoft", "maintain", c.BeginMaintenance, ("circuit", "path"), "ams primary"),
    Verb("microsoft", "maintained", c.EndMaintenance, ("circuit",), "ams", help="The work is done."),
    Verb(
        "microsoft",
        "report",
        c.ReportPrefixes,
        ("circuit", "peering", "path", "version", "count"),
        "ams private primary 4 4001",
    ),
)
"""Every command of the service, some under two verbs."""


def verbs_of(group: str) -> tuple[Verb, ...]:
    """The verbs of a group, in their order."""
    return tuple(verb for verb in VERBS if verb.group == group)
