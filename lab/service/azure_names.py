"""How the API calls what we call otherwise (facts 12): fields, states, ids. Data for a REST face.

A name with dots leads into nested objects. An empty name stands for what the API has not: our own book-
keeping, or what it shows in another resource.
"""

from __future__ import annotations

from lab.service import resources as r

FIELDS: dict[type, dict[str, str]] = {
    r.Circuit: {
        "name": "name",
        "scope": "id",
        "location": "serviceProviderProperties.peeringLocation",
        "region": "location",
        "tier": "sku.tier",
        "family": "sku.family",
        "bandwidth_mbps": "serviceProviderProperties.bandwidthInMbps",
        "service_key": "serviceKey",
        "s_tag": "stag",
        "provider": "serviceProviderProperties.serviceProviderName",
        "port": "expressRoutePort.id",
        "provider_state": "serviceProviderProvisioningState",
        "provider_notes": "serviceProviderNotes",
        "throttle_mbps": "",
        "rate_limit": "enableDirectPortRateLimit",
        "metro": "resiliencyLevel",
        "maintenance": "",
        "peerings": "peerings",
        "authorizations": "authorizations",
    },
    r.Peering: {
        "name": "peeringType",
        "vlan": "vlanId",
        "peer_asn": "peerASN",
        "v4": "primaryPeerAddressPrefix, secondaryPeerAddressPrefix",
        "v6": "ipv6PeeringConfig.primaryPeerAddressPrefix, ipv6PeeringConfig.secondaryPeerAddressPrefix",
        "shared_key": "sharedKey",
        "state": "state",
        "bfd": "",
        "written_by": "lastModifiedBy",
        "microsoft": "microsoftPeeringConfig",
        "route_filter": "routeFilter.id",
    },
    r.MicrosoftConfig: {
        "prefixes": "advertisedPublicPrefixInfo",
        "customer_asn": "customerASN",
        "registry": "routingRegistryName",
        "legacy": "legacyMode",
    },
    r.AdvertisedPrefix: {"prefix": "prefix", "validation": "validationState"},
    r.Authorization: {"name": "name", "key": "authorizationKey", "used_by": "connectionResourceUri"},
    r.RouteFilter: {"name": "name", "scope": "id", "communities": "rules.communities"},
    r.VirtualNetwork: {
        "name": "name",
        "scope": "id",
        "region": "location",
        "address_space": "addressSpace.addressPrefixes",
        "community": "bgpCommunities.virtualNetworkCommunity",
        "remote_gateway": "virtualNetworkPeerings.remoteVirtualNetwork.id",
    },
    r.Gateway: {
        "name": "name",
        "scope": "id",
        "vnet": "ipConfigurations.subnet.id",
        "sku": "sku.name",
        "subnets": "ipConfigurations.subnet",
        "units": "autoScaleConfiguration.bounds",
        "summaries": "summarizedGatewayPrefixes",
        "allow_remote_vnet_traffic": "allowRemoteVnetTraffic",
        "allow_virtual_wan_traffic": "allowVirtualWanTraffic",
    },
    r.Connection: {
        "name": "name",
        "scope": "id",
        "gateway": "virtualNetworkGateway1.id",
        "circuit": "peer.id",
        "weight": "routingWeight",
        "fastpath": "expressRouteGatewayBypass",
        "private_link_fastpath": "enablePrivateLinkFastPath",
        "authorization": "authorizationKey",
        "community": "",
        "slot": "",
    },
    r.GlobalReach: {
        "name": "name",
        "circuit": "expressRouteCircuitPeering.id",
        "peer_circuit": "peerExpressRouteCircuitPeering.id",
        "prefix": "addressPrefix",
        "prefix_v6": "ipv6CircuitConnectionConfig.addressPrefix",
        "authorization": "authorizationKey",
    },
    r.PortPair: {
        "name": "name",
        "scope": "id",
        "location": "peeringLocation",
        "bandwidth_gbps": "bandwidthInGbps",
        "encapsulation": "encapsulation",
        "billing": "billingType",
        "links": "links",
    },
    r.PortLink: {"path": "name", "admin_state": "adminState", "macsec": "macSecConfig"},
    r.MacSec: {
        "ckn": "cknSecretIdentifier",
        "cak": "cakSecretIdentifier",
        "cipher": "cipher",
        "sci": "sciState",
    },
    r.ProviderPort: {
        "name": "name",
        "provider": "",
        "location": "peeringLocation",
        "bandwidth_mbps": "portBandwidthInMbps",
        "overprovision_factor": "overprovisionFactor",
    },
}
"""Class -> field -> the API's property."""

VALUES: dict[str, str] = {
    "local": "Local",
    "standard": "Standard",
    "premium": "Premium",
    "metered": "MeteredData",
    "unlimited": "UnlimitedData",
    "private": "AzurePrivatePeering",
    "microsoft": "MicrosoftPeering",
    "primary": "primary",
    "secondary": "secondary",
}
"""Our words for values -> the API's; states have the API's words already."""

TYPES: dict[type, str] = {
    r.Circuit: "expressRouteCircuits",
    r.RouteFilter: "routeFilters",
    r.VirtualNetwork: "virtualNetworks",
    r.Gateway: "virtualNetworkGateways",
    r.Connection: "connections",
    r.PortPair: "expressRoutePorts",
}
"""Resource types of the provider Microsoft.Network that have a scope of their own."""


def sku_name(tier: str, family: str) -> str:
    """`sku.name` of a circuit: `Premium_MeteredData`."""
    return f"{VALUES[tier]}_{VALUES[family]}"


def resource_id(scope: r.Scope, kind: type, name: str, *children: str) -> str:
    """The id of a resource, or of a child such as ("peerings", "AzurePrivatePeering").

    Raises KeyError for a class that has no scope of its own.
    """
    base = f"/subscriptions/{scope.subscription}/resourceGroups/{scope.resource_group}"
    return "/".join((base, "providers/Microsoft.Network", TYPES[kind], name, *children))
