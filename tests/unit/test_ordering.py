"""A command on a lab's model: the State changes, the lab follows, what cannot be built is refused."""

from __future__ import annotations

from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

import pytest

import lab
from edge.errors import UsageError
from edge.model import Session
from lab.model import LabModel
from lab.ordering import in_scope, order
from lab.protocol import error_from_json, error_to_json
from lab.refused import RefusedError
from lab.service import commands as c
from lab.service.codec import encode_command
from lab.service.difference import differences
from lab.service.resources import Scope
from lab.topology import derive, load
from tests.unit.service_worlds import net, v4, v6

CONTOSO = Path(lab.__file__).parent / "topologies" / "contoso.edge.yml"
SCOPE = Scope("contoso", "contoso")
LONDON = c.CreateCircuit("lon", "premium", "metered", 200, provider="Equinix", location="London", scope=SCOPE)


@pytest.fixture(scope="module")
def contoso() -> LabModel:
    return load(CONTOSO)


def after(model: LabModel, *commands: c.Command, site: str = "") -> LabModel:
    for command in commands:
        model = order(model, command, site=site if isinstance(command, c.CreateCircuit) else "").model
    return model


def sessions(model: LabModel, namespace: str) -> dict[str, Session]:
    found = (vrf for router in model.routers for vrf in router.vrfs if vrf.namespace == namespace)
    return {session.name: session for session in next(found).sessions}


def refused(model: LabModel, command: c.Command, **more: Any) -> RefusedError:
    with pytest.raises(RefusedError) as error:
        order(model, command, **more)
    assert error.value.exit_code == 1
    return error.value


def test_a_disabled_peering_is_shut_at_the_msees_and_stays_configured_at_the_edges(contoso: LabModel) -> None:
    model = after(contoso, c.DisablePeering("ams", "private"))
    for number in (1, 2):
        assert not any(s.enabled for s in sessions(model, f"msee{number}-amsterdam.ams.private").values())
        assert all(s.enabled for s in sessions(model, f"msee{number}-amsterdam.ams.microsoft").values())
        assert all(s.enabled for s in sessions(model, f"ce{number}").values())
    assert model.hosts == contoso.hosts
    assert after(model, c.EnablePeering("ams", "private")) == contoso


def test_a_circuit_without_its_provider_has_wires_and_no_cross_connection(contoso: LabModel) -> None:
    model = after(contoso, c.Deprovision("ams"))
    assert model.fabrics[0].circuits == ()
    assert model.links == contoso.links
    assert not sessions(model, "msee1-amsterdam.ams.microsoft")["customer"].enabled
    assert after(model, c.Provision("ams")) == contoso


def test_a_raised_bandwidth_waits_for_the_providers_throttle(contoso: LabModel) -> None:
    raised = after(contoso, c.ChangeBandwidth("ams", 500))
    assert {vc.rate_bps for vc in raised.fabrics[0].circuits} == {200_000_000}
    assert raised.circuits[0].bandwidth_bps == 500_000_000
    throttled = after(raised, c.SetThrottle("ams", 500))
    assert {vc.rate_bps for vc in throttled.fabrics[0].circuits} == {500_000_000}


def test_unvalidated_prefixes_keep_the_microsoft_peering_shut(contoso: LabModel) -> None:
    put = c.PutPeering(
        "ams",
        "microsoft",
        200,
        64496,
        (v4("198.51.100.0/29"),),
        advertised_prefixes=(net("203.0.113.0/28"), net("192.0.2.0/28")),
        registry="RADB",
    )
    model = after(contoso, put, c.ValidatePrefixes("ams"))
    name = "msee1-amsterdam.ams.microsoft"
    assert not sessions(model, name)["customer"].enabled
    approved = after(model, c.ApprovePrefix("ams", net("192.0.2.0/28")))
    assert sessions(approved, name)["customer"].enabled


def test_maintenance_prepends_on_one_connection_both_ways(contoso: LabModel) -> None:
    model = after(contoso, c.BeginMaintenance("ams", "secondary"))
    assert {s.exports.prepend for s in sessions(model, "msee1-amsterdam.ams.private").values()} == {0}
    assert {s.exports.prepend for s in sessions(model, "msee2-amsterdam.ams.private").values()} == {8}


def test_a_filter_decides_what_is_announced(contoso: LabModel) -> None:
    def announced(model: LabModel) -> Any:
        return sessions(model, "msee1-amsterdam.ams.microsoft")["customer"].exports.communities

    assert announced(after(contoso, c.DetachFilter("ams"))) == ()
    assert announced(after(contoso, c.UpdateRouteFilter("ams-filter", ("teams",)))) == ((12076, 5030),)


def test_a_community_of_a_network_comes_with_a_new_connection(contoso: LabModel) -> None:
    model = after(contoso, c.SetVnetCommunity("hub", (12076, 20001)))
    assert model == contoso
    model = after(model, c.Unlink("hub-ams"), c.LinkVnet("hub-ams", "hub-gw", "ams", scope=SCOPE))
    exports = sessions(model, "hub-gw0")["ams_primary"].exports
    assert exports.attach == ((12076, 20001), (12076, 50002))
    assert set(exports.attach_to) == {net("10.50.0.0/16"), net("fd00:50::/48")}


def test_a_second_circuit_joins_a_site_and_a_gateway_and_moves_nobody(contoso: LabModel) -> None:
    model = after(
        contoso,
        LONDON,
        c.Provision("lon"),
        c.PutPeering("lon", "private", 100, 65010, (v4("192.168.16.0/29"),), (v6("fd00:16::/125"),)),
        c.LinkVnet("hub-lon", "hub-gw", "lon", 10, scope=SCOPE),
        site="hq",
    )
    assert {link.name for link in model.links} - {link.name for link in contoso.links} == {
        "lon-primary",
        "lon-secondary",
        "equinix-london-msee1",
        "equinix-london-msee2",
        "lon-primary-hub",
        "lon-secondary-hub",
    }
    for namespace in ("ce1", "hub-gw0", "msee1-amsterdam.ams.private"):
        here = sessions(model, namespace)
        assert {name: here[name] for name in sessions(contoso, namespace)} == sessions(contoso, namespace)
    without = after(model, c.Unlink("hub-ams"))
    kept = {name: one for name, one in sessions(model, "hub-gw0").items() if "lon" in name}
    assert sessions(without, "hub-gw0") == kept


def test_a_circuit_of_no_site_ends_at_the_provider(contoso: LabModel) -> None:
    model = after(
        contoso,
        LONDON,
        c.Provision("lon"),
        c.PutPeering("lon", "private", 100, 65010, (v4("192.168.16.0/29"),)),
    )
    assert [fabric.circuits for fabric in model.fabrics if "london" in fabric.name] == [()]
    assert not any(link.circuit == "lon" for link in model.links)
    assert sessions(model, "msee1-london.lon.private")


def test_a_network_loses_its_gateway_and_keeps_its_machines(contoso: LabModel) -> None:
    model = after(contoso, c.Unlink("hub-ams"), c.DeleteGateway("hub-gw"))
    assert model.node("hub-gw0") is None
    assert model.node("vm1") is not None
    gone = after(model, c.DeleteVnet("hub"))
    assert gone.node("vm1") is None


def test_everything_of_a_circuit_goes_with_it(contoso: LabModel) -> None:
    model = after(
        contoso,
        c.Unlink("hub-ams"),
        c.DeletePeering("ams", "private"),
        c.DeletePeering("ams", "microsoft"),
        c.Deprovision("ams"),
        c.DeleteCircuit("ams"),
    )
    assert {router.name for router in model.routers} == {
        "ce1",
        "ce2",
        "hq-inet",
        "hub-gw0",
        "hub-gw1",
        "internet",
    }
    assert model.circuits == model.peering_ends == model.fabrics == ()


def test_a_reset_begins_open_sessions_anew_and_a_shut_one_by_opening_it(contoso: LabModel) -> None:
    reset = c.ResetPeering("ams", "private")
    outcome = order(contoso, reset)
    assert outcome.model == contoso
    assert sorted(outcome.restarts) == [
        (f"msee{number}-amsterdam.ams.private", f"customer_{name}")
        for number in (1, 2)
        for name in ("customer", "customer_v6")
    ]
    assert order(after(contoso, c.DisablePeering("ams", "private")), reset).restarts == ()


def test_a_tier_is_not_lowered_below_what_the_routers_count(contoso: LabModel) -> None:
    plain = after(contoso, c.DetachFilter("ams"))
    counted = [c.ReportPrefixes("ams", "private", "primary", 4, 5000)]
    assert refused(plain, c.ChangeSku("ams", "standard"), reports=counted).code == "UsageRoutes"
    assert order(plain, c.ChangeSku("ams", "standard")).model.circuits[0].tier == "standard"


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (c.CreateVnet("teams", "westeurope", (net("10.60.0.0/16"),), SCOPE), "the lab itself"),
        (c.CreateVnet("a_b", "westeurope", (net("10.60.0.0/16"),), SCOPE), "cannot be a name"),
        (c.CreateVnet("v", "westeurope", (net("10.60.0.0/30"),), SCOPE), "too small"),
        (c.CreateVnet("v", "westeurope", (net("100.64.0.0/16"),), SCOPE), "own links"),
        (c.CreateVnet("hq-lan", "westeurope", (net("10.60.0.0/16"),), SCOPE), ""),
        (c.SetAddressSpace("hub", (net("10.50.128.0/17"), net("fd00:50::/48"))), "outside the address space"),
    ],
)
def test_what_the_lab_cannot_build_is_refused_in_its_own_name(
    contoso: LabModel, command: c.Command, words: str
) -> None:
    if not words:
        assert order(contoso, command).model.node("hq-lan-net") is not None
        return
    error = refused(contoso, command)
    assert error.code == "LabLimit"
    assert words in str(error)


def test_networks_of_strangers_may_have_equal_addresses_until_they_meet(contoso: LabModel) -> None:
    model = after(
        contoso,
        c.CreateVnet("far", "westeurope", (net("10.1.0.0/16"),), SCOPE),
        c.CreateGateway("far-gw", "far", "ErGw1AZ", (net("10.1.255.0/27"),), scope=SCOPE),
    )
    error = refused(model, c.LinkVnet("far-ams", "far-gw", "ams", scope=SCOPE))
    assert (error.code, "the LAN of site hq" in error.words) == ("LabLimit", True)


def test_a_site_is_for_a_new_circuit_and_must_be_there(contoso: LabModel) -> None:
    for command, site, words in (
        (LONDON, "hg", "there is hq"),
        (c.DetachFilter("ams"), "hq", "only a circuit"),
    ):
        with pytest.raises(UsageError, match=words):
            order(contoso, command, site=site)


def test_a_command_belongs_to_the_labs_subscription_unless_it_says_whose(contoso: LabModel) -> None:
    data = encode_command(c.CreateRouteFilter("f"))
    assert in_scope(contoso, data) == data
    del data["scope"]
    assert in_scope(contoso, data) == {
        **data,
        "scope": {"subscription": "contoso", "resource_group": "contoso"},
    }
    detach = encode_command(c.DetachFilter("ams"))
    assert in_scope(contoso, detach) == detach
    assert in_scope(contoso, [1]) == [1]


def test_the_model_comes_back_from_its_document_and_state(contoso: LabModel) -> None:
    model = after(contoso, LONDON, c.DisablePeering("ams", "microsoft"), site="hq")
    assert derive(model.document, model.state) == model


def test_a_refusal_is_the_same_on_the_other_side_of_the_socket() -> None:
    error = RefusedError("KeyLong", "too long", "shorten it", "facts 3.2")
    again = error_from_json(error_to_json(error))
    assert isinstance(again, RefusedError)
    assert (str(again), again.to_json(), again.exit_code) == (str(error), error.to_json(), 1)


def test_differences_name_every_value_and_no_key_of_md5(contoso: LabModel) -> None:
    put = c.PutPeering(
        "ams", "private", 101, 65010, (IPv4Network("192.168.15.0/29"),), (v6("fd00:15::/125"),), "another"
    )
    model = after(contoso, put, c.SetVnetCommunity("hub", (12076, 20001)))
    told = {str(one) for one in differences(contoso.state, model.state)}
    assert told == {
        "circuits.ams.peerings.private.vlan: 100 -> 101",
        "circuits.ams.peerings.private.shared_key: (secret) -> (secret)",
        "vnets.hub.community: - -> 12076:20001",
    }
    assert differences(contoso.state, contoso.state) == ()


def _pair(contoso: LabModel) -> LabModel:
    return after(
        contoso,
        LONDON,
        c.Provision("lon"),
        c.PutPeering("lon", "private", 100, 65020, (v4("192.168.16.0/29"),), (v6("fd00:16::/125"),)),
    )


def test_global_reach_joins_the_msees_in_pairs_and_goes_again(contoso: LabModel) -> None:
    pair = _pair(contoso)
    reach = c.EnableGlobalReach("far", "ams", "lon", v4("172.31.0.0/29"), v6("fd00:31::/125"))
    model = after(pair, reach)
    ends = {link.name: (link.a.namespace, link.b.namespace) for link in model.links if "reach" in link.name}
    assert ends == {
        "far-reach1": ("msee1-amsterdam.ams.private", "msee1-london.lon.private"),
        "far-reach2": ("msee2-amsterdam.ams.private", "msee2-london.lon.private"),
    }
    here, there = (sessions(model, name) for name in ends["far-reach2"])
    assert (str(here["far"].local), str(here["far"].neighbor)) == ("172.31.0.5", "172.31.0.6")
    assert (here["far_v6"].local, here["far_v6"].neighbor) == (
        there["far_v6"].neighbor,
        there["far_v6"].local,
    )
    assert here["far"].exports.groups == ("customer",)
    assert here["customer"].exports.groups == ("gateway", "reach")
    assert here["customer"].exports.keep_private == ("reach",)
    shut = after(model, c.DisablePeering("lon", "private"))
    assert not sessions(shut, ends["far-reach1"][0])["far"].enabled
    assert after(model, c.DisableGlobalReach("far")) == pair
    for prefix, code in (("10.1.0.0/29", "LabLimit"), ("10.50.0.0/29", "PrefixOverlap")):
        command = c.EnableGlobalReach("far", "ams", "lon", v4(prefix))
        assert refused(pair, command).code == code
    bad = c.EnableGlobalReach("ams-primary.x", "ams", "lon", v4("172.31.0.0/29"))
    assert refused(pair, bad).code == "LabLimit"


def test_networks_of_one_circuit_hear_of_each_other_when_both_gateways_let_them(contoso: LabModel) -> None:
    pair = after(
        contoso,
        c.CreateVnet("spoke", "westeurope", (net("10.60.0.0/16"),), SCOPE),
        c.CreateGateway("spoke-gw", "spoke", "ErGw1AZ", (net("10.60.255.0/27"),), scope=SCOPE),
        c.LinkVnet("spoke-ams", "spoke-gw", "ams", scope=SCOPE),
        c.SetGatewayTraffic("hub-gw", True),
    )
    name = "msee1-amsterdam.ams.private"
    assert sessions(pair, name)["hub_gw0"].exports.groups == ("customer",)
    model = after(pair, c.SetGatewayTraffic("spoke-gw", True))
    exports = sessions(model, name)["hub_gw0"].exports
    assert exports.groups == ("customer", "gateway")
    assert exports.within == (("gateway", (net("10.60.0.0/16"),)),)
    assert sessions(model, "hub-gw0") == sessions(pair, "hub-gw0")


def test_the_provider_keeps_his_configuration_when_the_customer_writes(contoso: LabModel) -> None:
    managed = load(CONTOSO.with_name("managed.edge.yml"))
    put = c.PutPeering("ams", "private", 101, 64496, (v4("192.168.15.8/29"),), shared_key="mine")
    model = after(managed, put)
    assert sessions(model, "ams-pe1") == sessions(managed, "ams-pe1")
    far = sessions(model, "msee1-amsterdam.ams.private")["customer"]
    assert (str(far.local), far.password) == ("192.168.15.10", "mine")
    again = c.PutPeering("ams", "private", 100, 64496, (v4("192.168.15.0/29"),), by="Provider")
    assert after(model, again) == managed
