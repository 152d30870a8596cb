"""Every refusal of the rulebook is given by some command: those that no scenario tells about."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from lab.service import commands as c
from lab.service.resources import MacSec, Scope
from lab.service.rulebook import RULES
from lab.service.state import State
from tests.unit.service_worlds import (
    EMPTY,
    circuit,
    done,
    events,
    microsoft,
    net,
    on_port,
    ordered,
    private,
    refused,
    v4,
    v6,
    with_circuit,
    with_microsoft,
    with_port,
    with_vnet,
)

LINKED = with_vnet(with_circuit())
PUBLIC = with_microsoft()
FILTERED = done(PUBLIC, c.CreateRouteFilter("f", ("teams",)), c.AttachFilter("ams", "f"))
DIRECT = done(with_port(), on_port("a"), private("a"))
APART = with_vnet(with_circuit(), circuits=())
PAIR = with_circuit(with_circuit(), "dub", location="Dublin", number=16)
JOINED = done(PAIR, c.EnableGlobalReach("r", "ams", "dub", v4("172.31.0.0/29")))
SPOKE = done(
    LINKED,
    c.CreateVnet("spoke", "westeurope", (net("10.60.0.0/16"),)),
    c.UseRemoteGateway("spoke", "hub"),
)
ROOM = done(EMPTY, c.SetProviderPort("Equinix", "Amsterdam", 100, 1))


def _gateway(*subnets: str, vnet: str = "hub", units: int = 1) -> c.CreateGateway:
    return c.CreateGateway("new", vnet, "ErGw1AZ", tuple(map(net, subnets)), units)


def _vnet(*space: str, region: str = "westeurope") -> c.CreateVnet:
    return c.CreateVnet("new", region, tuple(map(net, space)))


BARE = done(EMPTY, c.CreateVnet("hub", "westeurope", (net("10.50.0.0/16"), net("fd00:50::/48"))))
KEYED = done(with_circuit(), c.CreateAuthorization("ams", "a", "secret"))
MANY = replace(EMPTY, circuits={f"c{n}": replace(circuit(with_circuit()), name=f"c{n}") for n in range(10)})
FULL = replace(
    EMPTY,
    quotas=done(EMPTY, c.RaiseQuota("lab", 9999, 9999)).quotas,
    circuits={f"c{n}": replace(circuit(with_circuit()), name=f"c{n}", s_tag=n) for n in range(1, 4095)},
)
CROWDED = replace(
    LINKED,
    vnets={
        **LINKED.vnets,
        **{f"s{n}": replace(LINKED.vnets["hub"], name=f"s{n}", remote_gateway="hub") for n in range(500)},
        "one-more": replace(LINKED.vnets["hub"], name="one-more"),
    },
)
METRO = replace(EMPTY, settings=replace(EMPTY.settings, metro_only=True))

SMALL = done(
    with_circuit(with_circuit(with_circuit(BARE, "c0", number=16), "c1", number=17), "c2", number=18),
    _gateway("10.50.0.0/29"),
    c.LinkVnet("first", "new", "c0"),
    c.LinkVnet("second", "new", "c1"),
)

CASES: tuple[tuple[str, State, c.Command], ...] = (
    ("AuthorizationKeyTaken", KEYED, c.CreateAuthorization("ams", "b", "secret")),
    ("AuthorizationNeeded", LINKED, c.Redeem("n", "hub-gw", "ams", "")),
    ("CircuitInUse", done(LINKED, c.Deprovision("ams")), c.DeleteCircuit("ams")),
    ("CircuitInUse", done(JOINED, c.Deprovision("dub")), c.DeleteCircuit("dub")),
    ("CircuitOwner", DIRECT, c.CreateCircuit("n", "standard", "metered", 1000)),
    ("CircuitOwner", DIRECT, c.CreateCircuit("n", "standard", "metered", 1000, "Equinix", port="pair")),
    ("CommunityRegional", LINKED, c.SetVnetCommunity("hub", (12076, 51002))),
    ("FastPathPrivateLink", LINKED, c.SetFastPath("hub-ams", True, private_link=True)),
    ("FastPathPrivateLink", APART, c.LinkVnet("n", "hub-gw", "ams", private_link_fastpath=True)),
    ("FilterInUse", FILTERED, c.DeleteRouteFilter("f")),
    ("FilterUnknown", FILTERED, c.UpdateRouteFilter("f", ("12076:9999",))),
    ("ScaleUnits", LINKED, c.ResizeGateway("hub-gw", "ErGwScale", 41)),
    ("GatewayInUse", LINKED, c.DeleteGateway("hub-gw")),
    ("GatewayInUse", done(SPOKE, c.Unlink("hub-ams")), c.DeleteGateway("hub-gw")),
    ("GatewaySubnetFull", SMALL, c.LinkVnet("third", "new", "c2")),
    ("GatewaySubnetMissing", BARE, _gateway("fd00:50::/64")),
    ("GatewaySubnetTwice", BARE, _gateway("10.50.0.0/27", "10.50.1.0/27")),
    ("GatewaySubnetOutside", BARE, _gateway("10.51.0.0/27")),
    ("GatewaySubnetOutside", LINKED, c.SetAddressSpace("hub", (net("10.51.0.0/16"),))),
    ("GatewaySubnetSmall", BARE, _gateway("10.50.0.0/30")),
    ("GatewaySubnetSmall", BARE, _gateway("10.50.0.0/29", "fd00:50::/65")),
    ("GatewayTwice", LINKED, _gateway("10.50.0.0/27")),
    ("HubWithoutGateway", BARE, c.UseRemoteGateway("hub", "hub")),
    ("LocationUnknown", EMPTY, ordered(location="Atlantis")),
    ("LocationUnknown", EMPTY, c.CreatePortPair("p", "Atlantis", 10, "QinQ")),
    ("LocationUnknown", EMPTY, c.SetProviderPort("Equinix", "Atlantis", 10)),
    ("MacsecSecrets", DIRECT, c.SetMacsec("pair", "primary", MacSec("ckn", ""))),
    ("MaintenanceNone", LINKED, c.EndMaintenance("ams")),
    ("MetroOnly", METRO, ordered()),
    ("NameInvalid", EMPTY, ordered("-")),
    ("NameInvalid", EMPTY, ordered("x" * 81)),
    ("NameTaken", LINKED, ordered()),
    ("NoProvider", DIRECT, c.Deprovision("a")),
    ("NoProvider", DIRECT, private("a", by="Provider")),
    ("PeeredVnets", CROWDED, c.UseRemoteGateway("one-more", "hub")),
    ("PeeringInUse", LINKED, c.DeletePeering("ams", "private")),
    ("PeeringInUse", JOINED, c.DeletePeering("dub", "private")),
    ("PeeringNotFound", LINKED, c.DetachFilter("ams")),
    ("PortForeign", DIRECT, on_port("n", scope=Scope("fabrikam"))),
    ("PortInUse", DIRECT, c.DeletePortPair("pair")),
    ("PortInvalid", EMPTY, c.SetProviderPort("Equinix", "Dublin", 0)),
    ("PortSpeed", EMPTY, c.CreatePortPair("p", "Dublin", 25, "QinQ")),
    (
        "PrefixDocumentation",
        replace(PUBLIC, settings=replace(PUBLIC.settings, strict=True)),
        microsoft(peer_asn=3320),
    ),
    ("PrefixFamily", PUBLIC, microsoft(advertised_prefixes=(v6("2001:db8::/48"),))),
    ("PrefixNotAdvertised", PUBLIC, c.ApprovePrefix("ams", net("192.0.2.0/24"))),
    ("PrefixOverlap", PUBLIC, microsoft(advertised_prefixes=(v4("198.51.100.0/24"),))),
    ("PrefixOverlap", done(PUBLIC, ordered("b"), c.Provision("b")), microsoft("b")),
    ("PrefixOverlap", SPOKE, c.SetAddressSpace("spoke", (net("10.50.0.0/24"),))),
    ("PrefixPrivate", PUBLIC, microsoft(v4=(v4("10.0.0.0/29"),))),
    ("PrefixTwice", PUBLIC, microsoft(advertised_prefixes=(v4("203.0.113.0/28"), v4("203.0.113.0/28")))),
    ("PrefixUnusable", LINKED, private(v4=(v4("127.0.0.0/29"),))),
    ("PrefixesMissing", PUBLIC, microsoft(advertised_prefixes=())),
    ("ProviderPortFull", ROOM, ordered()),
    ("ProviderPortFull", done(ROOM, ordered(mbps=50)), c.ChangeBandwidth("ams", 200)),
    ("ProviderPortFull", LINKED, c.SetProviderPort("Equinix", "Amsterdam", 50)),
    ("ProviderStep", LINKED, c.StartProvisioning("ams")),
    ("QuotaBelowDefault", EMPTY, c.RaiseQuota("lab", 49, 10)),
    ("QuotaBelowDefault", EMPTY, c.RaiseQuota("lab", 100, 9)),
    ("QuotaCircuits", MANY, ordered()),
    ("ReachFamily", PAIR, c.EnableGlobalReach("n", "ams", "dub", v4("172.31.1.0/29"), v6("fd00:9::/125"))),
    ("ReachSelf", LINKED, c.EnableGlobalReach("n", "ams", "ams", v4("172.31.1.0/29"))),
    ("RegionUnknown", EMPTY, _vnet("10.0.0.0/16", region="atlantis")),
    ("RegionUnknown", EMPTY, ordered(region="atlantis")),
    ("RegistryNone", EMPTY, c.RegisterPrefix(net("192.0.2.0/24"), 1, "NONE")),
    ("ReportInvalid", LINKED, c.ReportPrefixes("ams", "private", "primary", 6, 1)),
    ("ResourceNotFound", EMPTY, c.Unlink("nothing")),
    ("ScaleUnits", LINKED, c.ResizeGateway("hub-gw", "ErGw1AZ", 2)),
    ("ServiceKeyTaken", LINKED, ordered("n", service_key=circuit(LINKED).service_key)),
    ("SkuToLocal", with_circuit(family="metered"), c.ChangeSku("ams", "local")),
    ("SpokeWithGateway", SPOKE, _gateway("10.60.0.0/27", vnet="spoke")),
    ("SpokeWithGateway", with_vnet(LINKED, "b", 61, ()), c.UseRemoteGateway("b", "hub")),
    ("StagExhausted", FULL, ordered()),
    ("ThrottleInvalid", LINKED, c.SetThrottle("ams", 0)),
    ("VlanInvalid", LINKED, private(vlan=4095)),
    ("VlanInvalid", EMPTY, ordered(s_tag=0)),
    ("VnetInUse", LINKED, c.DeleteVnet("hub")),
    ("VnetSpace", EMPTY, _vnet("fd00::/48")),
    ("VnetSpace", EMPTY, _vnet("10.0.0.0/8", "10.1.0.0/16")),
)


@pytest.mark.parametrize(
    ("code", "state", "command"), CASES, ids=[f"{code}-{number}" for number, (code, _, _) in enumerate(CASES)]
)
def test_the_service_refuses(code: str, state: State, command: c.Command) -> None:
    assert refused(state, command) == code


def test_every_rule_is_shown_by_a_test() -> None:
    tests = "".join(
        path.read_text(encoding="utf-8") for path in Path(__file__).parent.glob("test_service_*.py")
    )
    assert [code for code in RULES if f'"{code}"' not in tests] == []


def test_a_provider_learns_that_its_throttle_is_behind_and_a_prefix_once_believed_stays_so() -> None:
    assert events(LINKED, c.ChangeBandwidth("ams", 500)) == ["BandwidthRaised", "ThrottleBehind"]
    again = done(PUBLIC, microsoft(vlan=201))
    config = again.circuits["ams"].peerings["microsoft"].microsoft
    assert config is not None
    assert [one.validation for one in config.prefixes] == ["Configured"]
    moved = done(PUBLIC, microsoft(peer_asn=64497)).circuits["ams"].peerings["microsoft"].microsoft
    assert moved is not None
    assert [one.validation for one in moved.prefixes] == ["Configuring"]
