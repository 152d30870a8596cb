"""Every rule by which the service says no: its code, the HTTP status, where it comes from, what it says.

"facts" is the fact sheet with its section; "own" is a decision of ours where the documents are silent, with
the reason in the text. The documents rarely give error codes, so the codes are ours, too.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rule:
    """A row of the table. status: 400 the request is wrong, 403 not allowed, 404 absent, 409 not now."""

    code: str
    status: int
    source: str
    text: str


_TABLE = """
AsnDocumentation      400  facts 3.2           | documentation AS numbers stand on no Microsoft peering
AsnInvalid            400  RFC 7607, 7300      | reserved numbers belong to no BGP speaker
AsnMicrosoft          400  facts 3.2           | 12076 is Microsoft's and the peering is eBGP
AsnPrivate            400  facts 3.2           | a private AS number there needs manual validation
AsnReserved           400  facts 3.2           | 65515-65520 are Microsoft's own
AuthorizationInUse    409  facts 10.2          | an authorization is for one connection
AuthorizationKeyTaken 409  own                 | a key must name one authorization
AuthorizationNeeded   403  facts 10.2          | another subscription links with a key of the owner
AuthorizationUnknown  403  facts 10.2          | the key must be one of the circuit's
BandwidthLowered      409  facts 2             | bandwidth is never lowered
BandwidthNotOffered   400  facts 2, 1.3        | bandwidths on offer, through providers and on Direct
CircuitInUse          409  facts 2.1           | links go before the circuit
CircuitNotProvisioned 409  facts 2.1           | a circuit is usable only when Enabled and Provisioned
CircuitOwner          400  facts 12            | a circuit has provider and location, or a Direct port pair
CircuitProvisioned    409  facts 2.1           | the provider lets go before the circuit is deleted
CommunityForm         400  facts 3.7           | a custom community is 12076:n
CommunityRegional     400  own                 | a custom one that equals a region could not be told from it
ConnectionPrefixes    409  facts 2.2           | a new connection begins with 200 prefixes at most
ConnectionTwice       409  own                 | a second connection of the same pair would carry nothing new
EncapsulationFixed    409  facts 1.2           | a port pair's encapsulation is chosen once
FamilyToMetered       409  facts 2             | unlimited never becomes metered
FastPathPrivateLink   400  facts 10.1          | private endpoints over FastPath on Direct circuits only
FastPathSku           400  facts 10.1          | FastPath needs the largest gateways
FilterInUse           409  own                 | a filter that is attached would vanish under a peering
FilterNeedsPremium    403  facts 2             | Microsoft 365 needs tier premium
FilterNotAuthorized   403  facts 3.6           | Microsoft 365 needs Microsoft's authorisation
FilterPrivate         400  facts 3.7           | regional communities of private peerings stand in no filter
FilterUnknown         400  facts 3.7           | only offered communities
GatewayCircuits       409  facts 2.2, 10.1     | circuits by gateway SKU
GatewayDualStack      409  facts 3.5           | a dual-stack gateway needs a peering with IPv6
GatewayInUse          409  own                 | connections and peered networks go before the gateway
GatewaySameLocation   409  facts 2.2           | four circuits of one peering location on one VNet
GatewaySubnetFull     409  facts 10.1          | a /26 holds 16 circuits, smaller ones fewer
GatewaySubnetMissing  400  facts 10.1          | a gateway lives in a GatewaySubnet
GatewaySubnetOutside  400  facts 10.1          | the GatewaySubnet is a part of the network
GatewaySubnetSmall    400  facts 10.1, 3.5     | GatewaySubnet /29 or larger, IPv6 /64 or larger
GatewaySubnetTwice    400  facts 10.1, 3.5     | one GatewaySubnet of each IP version
GatewayTwice          409  facts 10.1          | one gateway of each type in a VNet
HubWithoutGateway     409  facts 3.3           | only a gateway that is there can be used
KeyCharacters         400  facts 3.2           | MD5 key of letters and digits
KeyLong               400  facts 3.2           | MD5 key of at most 25 characters
LinkSubnetEqual       400  facts 3.1           | each link has a subnet of its own
LinkSubnetFamily      400  facts 3.1           | link subnets of the right IP version
LinkSubnetLength      400  facts 3.1           | one /29 or two /30; one /125 or two /126
LinkSubnetMissing     400  facts 3.1, 3.5      | a peering has IPv4, IPv6, or both
LocalNotOffered       400  facts 2             | tier local only where a region is near
LocationUnknown       400  facts 2             | a circuit stands at a peering location
MacsecSecrets         400  facts 9             | MACsec has two pre-shared secrets
MaintenanceNone       409  own                 | what does not run cannot end
MaintenanceRuns       409  facts 4             | the two connections are maintained in separate windows
MetroNotOffered       400  facts 7             | Metro only in cities that have it
MetroOnly             400  facts 7             | in some places standard resiliency is not sold beside Metro
NameInvalid           400  own                 | names as Azure writes them
NameTaken             409  own                 | names are unique among their kind in a lab
NoProvider            409  facts 1.3           | circuits on Direct have no provider
PeeredVnets           409  facts 10.1          | 500 networks behind one gateway
PeeringInUse          409  facts 2.1           | VNet links and Global Reach go before the private peering
PeeringNotFound       400  facts 10.6          | an unconfigured peering answers 400, "not found"
PortForeign           403  own                 | a port pair's circuits belong to its subscription
PortInUse             409  own                 | circuits go before the port pair
PortInvalid           400  own                 | a provider's port has a positive size
PortSpeed             400  facts 1.3           | port pairs of 10, 100 and 400 Gbit/s
PortSubscribed        409  facts 1.3           | circuits of a port pair sum up to twice its speed at most
PrefixDefault         400  facts 3.3           | no default route on a Microsoft peering
PrefixDocumentation   400  RFC 5737            | documentation space is nobody's
PrefixFamily          400  facts 3.5           | a prefix travels in a session of its IP version
PrefixNotAdvertised   404  facts 3.4           | only listed prefixes are validated
PrefixOverlap         409  facts 3.1, 10.3     | link subnets, tunnels and VNets do not overlap
PrefixPrivate         400  facts 3.3           | no private space on a Microsoft peering
PrefixSpecial         400  RFC 6890            | special space is not public
PrefixTwice           400  own                 | a list names each prefix once
PrefixUnusable        400  RFC 6890            | no interface lives in special space
PrefixesMissing       400  facts 3.4           | a Microsoft peering lists its prefixes
ProviderPortFull      409  facts 2             | bandwidth only while the provider's port has room
ProviderStep          409  facts 2.1           | the provider's states follow each other
QuotaBelowDefault     400  facts 2.2           | a quota is raised, not lowered
QuotaCircuits         409  facts 2.2           | 50 circuits in a subscription, 10 in a region
RateLimitNotDirect    400  facts 10.4          | rate limiting is for circuits on Direct
ReachFamily           409  facts 10.3          | a tunnel joins families that both peerings have
ReachLocal            409  facts 2, 10.3       | no Global Reach with tier local
ReachNeedsPremium     409  facts 10.3          | premium on both across geopolitical areas
ReachPrefixLength     400  facts 10.3          | a /29, and a /125 for IPv6
ReachSameLocation     409  facts 10.3          | two different peering locations
ReachSelf             400  facts 10.3          | two circuits
ReachTwice            409  own                 | a second tunnel of the same pair would carry nothing new
RegionNotLocal        409  facts 2             | tier local reaches the nearest regions
RegionOutsideArea     409  facts 2, 10.2       | tier standard reaches its geopolitical area
RegionUnknown         400  facts 3.7           | regions of the table
RegistryNone          400  facts 3.4           | an entry stands in a registry
ReportInvalid         400  own                 | routers report sessions that can be there
ResourceNotFound      404  facts 12            | what a command names must be there
ScaleUnits            400  facts 10.1          | ErGwScale has 1-40 units
ServiceKeyTaken       409  facts 2             | one service key, one circuit
SkuLocalMetered       400  facts 2             | tier local is sold unlimited
SkuToLocal            409  facts 2             | no change to tier local
SpokeWithGateway      409  facts 10.1          | a network uses its own gateway or a remote one
StagExhausted         409  facts 1.2           | S-tags are unique on the ports, there are 4094
StagTaken             409  facts 1.2           | S-tags are unique on the ports
ThrottleInvalid       400  own                 | a rate is positive
TimersLong            400  RFC 4271 4.2        | a hold time fits into 16 bits
TimersOrder           400  RFC 4271 4.4        | keepalives come before the hold time ends
TimersShort           400  facts 4             | 3 s and 10 s are the shortest
UsageRoutes           409  facts 2             | premium stays while usage is above standard limits
VlanInvalid           400  IEEE 802.1Q         | VLAN ids are 1-4094
VlanTakenInCircuit    409  facts 1.2           | a C-tag is alone in its circuit
VlanTakenOnPort       409  facts 1.2           | on Dot1Q a C-tag is alone on the port pair
VnetInUse             409  own                 | gateway and peered networks go before the network
VnetLinks             409  facts 2.2           | VNet links by bandwidth and tier, Global Reach counts
VnetSpace             400  own                 | a network has IPv4 and each address once
WeightRange           400  facts 4             | routing weight 0-32000
"""


def _read() -> dict[str, Rule]:
    rules = {}
    for line in _TABLE.strip().splitlines():
        left, text = line.split(" | ")
        code, status, source = left.split(maxsplit=2)
        rules[code] = Rule(code, int(status), source.strip(), text)
    return rules


RULES: dict[str, Rule] = _read()
"""Rule by the code of its refusal."""
