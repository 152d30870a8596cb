"""Any sequence of commands: what must hold after each, whatever was asked (hypothesis, stateful)."""

from __future__ import annotations

import json
from ipaddress import ip_network
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from lab.service import commands as c
from lab.service.apply import apply
from lab.service.codec import decode_command, decode_state, encode_command, encode_state
from lab.service.consistency import contradictions
from lab.service.refusal import Refusal
from lab.service.resources import MacSec, Scope
from lab.service.sessions import frame_owner, sessions, tags_of
from lab.service.state import State
from lab.service.views import connection_status, cross_connection, provisioned_mbps, reach_status, resiliency
from tests.unit.service_worlds import v4, v6

CIRCUITS = st.sampled_from(["c1", "c2", "c3"])
VNETS = st.sampled_from(["v1", "v2", "v3"])
GATEWAYS = st.sampled_from(["v1-gw", "v2-gw", "v3-gw"])
LINKS = st.sampled_from(["l1", "l2", "l3"])
PAIRS = st.sampled_from([("c1", "c2"), ("c2", "c1"), ("c1", "c3"), ("c1", "c1")])
REACHES = st.sampled_from(["r1", "r2"])
PORTS = st.sampled_from(["p1", "p2"])
FILTERS = st.sampled_from(["f1", "f2"])
KEYS = st.sampled_from(["k1", "k2"])
SCOPES = st.sampled_from([Scope("contoso"), Scope("fabrikam")])
TIERS: Any = st.sampled_from(["local", "standard", "premium"])
BIG: Any = st.sampled_from(["standard", "premium"])
FAMILIES: Any = st.sampled_from(["metered", "unlimited"])
PLACES = st.sampled_from(["Amsterdam", "Dublin", "Tokyo"])
MBPS = st.sampled_from([50, 200, 1000, 5000, 10_000])
PEERINGS: Any = st.sampled_from(["private", "private", "microsoft"])
PATHS: Any = st.sampled_from(["primary", "secondary"])
VLANS = st.sampled_from([100, 101, 102, 200, 4095])
NUMBERS = st.integers(0, 5)
SWITCH: Any = st.sampled_from(["Enabled", "Disabled"])
ENTRIES = st.lists(st.sampled_from(["teams", "entra-id", "12076:51002", "12076:51004"]), max_size=2).map(
    tuple
)


class Service(RuleBasedStateMachine):
    """The service under arbitrary commands."""

    def __init__(self) -> None:
        super().__init__()
        self.state = State()

    @initialize(tiers=st.tuples(BIG, TIERS), owner=SCOPES, dual=st.booleans(), linked=st.booleans())
    def furnish(self, tiers: tuple[Any, Any], owner: Scope, dual: bool, linked: bool) -> None:
        """A world in which much can happen: two circuits with peerings, a port pair, three networks."""
        contoso = Scope("contoso")
        for number, (tier, place, scope) in enumerate(
            zip(tiers, ("Amsterdam", "Dublin"), (contoso, owner), strict=True), 1
        ):
            name = f"c{number}"
            self.ask(c.CreateCircuit(name, tier, "unlimited", 200, "Equinix", place, scope=scope))
            self.ask(c.Provision(name))
            self.put_peering(name, "private", 100, number, dual, False)
        self.put_peering("c1", "microsoft", 200, 0, False, False)
        self.ask(c.CreatePortPair("p1", "Amsterdam", 10, "Dot1Q", scope=contoso))
        for number, scope in enumerate((contoso, owner, owner), 1):
            self.create_vnet(f"v{number}", number, "westeurope", scope, dual and number == 2)
        if linked:
            self.link("l1", "v1-gw", "c1", 0, False)
        assert {"c1", "c2"} == set(self.state.circuits)
        assert len(self.state.gateways) == 3

    def ask(self, command: c.Command) -> None:
        """Apply, and compare what must be compared."""
        assert decode_command(json.loads(json.dumps(encode_command(command)))) == command
        before = encode_state(self.state)
        outcome = apply(self.state, command)
        assert encode_state(self.state) == before, "a command changed the state that it was given"
        if isinstance(outcome, Refusal):
            assert outcome.source
            assert outcome.words
            return
        if isinstance(command, c.DeleteCircuit):
            gone = self.state.circuits[command.circuit]
            assert gone.direct or gone.provider_state == "NotProvisioned"
        if isinstance(command, c.ChangeBandwidth):
            assert command.bandwidth_mbps >= self.state.circuits[command.circuit].bandwidth_mbps
        for name, circuit in outcome.state.circuits.items():
            if name in self.state.circuits and not isinstance(command, c.CreateCircuit | c.DeleteCircuit):
                old = self.state.circuits[name]
                assert (circuit.s_tag, circuit.service_key) == (old.s_tag, old.service_key)
        self.state = outcome.state

    @rule(name=CIRCUITS, tier=TIERS, family=FAMILIES, place=PLACES, mbps=MBPS, scope=SCOPES, up=st.booleans())
    def create_circuit(
        self, name: str, tier: Any, family: Any, place: str, mbps: int, scope: Scope, up: bool
    ) -> None:
        self.ask(c.CreateCircuit(name, tier, family, mbps, provider="Equinix", location=place, scope=scope))
        if up:
            self.ask(c.Provision(name))

    @rule(name=CIRCUITS, port=PORTS, mbps=MBPS, tag=st.none() | st.integers(1, 3), scope=SCOPES)
    def create_direct(self, name: str, port: str, mbps: int, tag: int | None, scope: Scope) -> None:
        self.ask(c.CreateCircuit(name, "premium", "metered", mbps, port=port, s_tag=tag, scope=scope))

    @rule(name=PORTS, gbps=st.sampled_from([10, 100]), qinq=st.booleans(), scope=SCOPES, place=PLACES)
    def create_port(self, name: str, gbps: int, qinq: bool, scope: Scope, place: str) -> None:
        self.ask(c.CreatePortPair(name, place, gbps, "QinQ" if qinq else "Dot1Q", scope=scope))

    @rule(port=PORTS, path=PATHS, state=SWITCH, secret=st.booleans())
    def port_link(self, port: str, path: Any, state: Any, secret: bool) -> None:
        self.ask(c.SetLinkAdminState(port, path, state))
        self.ask(c.SetMacsec(port, path, MacSec("ckn", "cak") if secret else None))

    @rule(circuit=CIRCUITS, tier=TIERS, family=FAMILIES, mbps=MBPS)
    def change(self, circuit: str, tier: Any, family: Any, mbps: int) -> None:
        self.ask(c.ChangeSku(circuit, tier))
        self.ask(c.ChangeFamily(circuit, family))
        self.ask(c.ChangeBandwidth(circuit, mbps))

    @rule(
        circuit=CIRCUITS,
        step=st.sampled_from([c.StartProvisioning, c.Provision, c.StartDeprovisioning, c.Deprovision]),
    )
    def provider(self, circuit: str, step: Any) -> None:
        self.ask(step(circuit))

    @rule(circuit=CIRCUITS, name=PEERINGS, vlan=VLANS, number=NUMBERS, dual=st.booleans(), by=st.booleans())
    def put_peering(self, circuit: str, name: Any, vlan: int, number: int, dual: bool, by: bool) -> None:
        public = name == "microsoft"
        self.ask(
            c.PutPeering(
                circuit,
                name,
                vlan,
                64496 if public else 65010,
                (v4(f"198.51.100.{8 * number}/29" if public else f"192.168.{number}.0/29"),),
                (v6(f"2001:db8:{number}::/125"),) if dual else (),
                shared_key="s3cret" if dual else None,
                advertised_prefixes=(v4(f"203.0.113.{16 * number}/28"),) if public else (),
                by="Provider" if by else "Customer",
            )
        )

    @rule(circuit=CIRCUITS, name=PEERINGS, act=st.sampled_from([c.DisablePeering, c.EnablePeering]))
    def switch(self, circuit: str, name: Any, act: Any) -> None:
        self.ask(act(circuit, name))

    @rule(circuit=CIRCUITS, name=PEERINGS, act=st.sampled_from([c.ResetPeering, c.DeletePeering]))
    def reset(self, circuit: str, name: Any, act: Any) -> None:
        self.ask(act(circuit, name))

    @rule(circuit=CIRCUITS, prefix=NUMBERS, asn=st.sampled_from([64496, 3320]), by_hand=st.booleans())
    def validate(self, circuit: str, prefix: int, asn: int, by_hand: bool) -> None:
        network = v4(f"203.0.113.{16 * prefix}/28")
        self.ask(c.RegisterPrefix(network, asn, "RADB"))
        self.ask(c.ValidatePrefixes(circuit))
        if by_hand:
            self.ask(c.ApprovePrefix(circuit, network))

    @rule(name=FILTERS, entries=ENTRIES, circuit=CIRCUITS, scope=SCOPES)
    def filters(self, name: str, entries: tuple[str, ...], circuit: str, scope: Scope) -> None:
        self.ask(c.CreateRouteFilter(name, entries, scope))
        self.ask(c.UpdateRouteFilter(name, entries))
        self.ask(c.AttachFilter(circuit, name))

    @rule(name=FILTERS, circuit=CIRCUITS, scope=SCOPES, allowed=st.booleans())
    def unfilter(self, name: str, circuit: str, scope: Scope, allowed: bool) -> None:
        self.ask(c.DeleteRouteFilter(name))
        self.ask(c.DetachFilter(circuit))
        self.ask(c.AuthorizeMicrosoft365(scope.subscription, allowed))

    @rule(
        name=VNETS,
        number=NUMBERS,
        region=st.sampled_from(["westeurope", "eastus"]),
        scope=SCOPES,
        v6s=st.booleans(),
    )
    def create_vnet(self, name: str, number: int, region: str, scope: Scope, v6s: bool) -> None:
        subnets = (ip_network(f"10.{number}.255.0/27"), *([ip_network(f"fd00:{number}::/64")] if v6s else []))
        space = (ip_network(f"10.{number}.0.0/16"), *([ip_network(f"fd00:{number}::/48")] if v6s else []))
        self.ask(c.CreateVnet(name, region, space, scope))
        self.ask(
            c.CreateGateway(f"{name}-gw", name, "ErGw3AZ" if number % 2 else "ErGw1AZ", subnets, scope=scope)
        )

    @rule(vnet=VNETS, hub=VNETS | st.just(""), number=NUMBERS)
    def hub(self, vnet: str, hub: str, number: int) -> None:
        self.ask(c.UseRemoteGateway(vnet, hub))
        self.ask(c.SetAddressSpace(vnet, (ip_network(f"10.{number}.0.0/16"),)))
        self.ask(c.SetVnetCommunity(vnet, (12076, 20001 + number)))

    @rule(name=LINKS, gateway=GATEWAYS, circuit=CIRCUITS, weight=st.integers(0, 3), fast=st.booleans())
    def link(self, name: str, gateway: str, circuit: str, weight: int, fast: bool) -> None:
        self.ask(c.LinkVnet(name, gateway, circuit, weight, fast))
        self.ask(c.SetFastPath(name, not fast))
        self.ask(c.SetWeight(name, weight * 10_000))

    @rule(name=LINKS, gateway=GATEWAYS, circuit=CIRCUITS, key=KEYS)
    def redeem(self, name: str, gateway: str, circuit: str, key: str) -> None:
        self.ask(c.CreateAuthorization(circuit, key, f"{circuit}/{key}"))
        self.ask(c.Redeem(name, gateway, circuit, f"{circuit}/{key}"))

    @rule(name=LINKS, circuit=CIRCUITS, key=KEYS, revoke=st.booleans())
    def unlink(self, name: str, circuit: str, key: str, revoke: bool) -> None:
        self.ask(c.RevokeAuthorization(circuit, key) if revoke else c.Unlink(name))

    @rule(name=REACHES, pair=PAIRS, number=NUMBERS, key=KEYS | st.none())
    def reach(self, name: str, pair: tuple[str, str], number: int, key: str | None) -> None:
        a, b = pair
        if key:
            self.ask(c.CreateAuthorization(b, key, f"{b}/{key}"))
        given = f"{b}/{key}" if key else ""
        self.ask(c.EnableGlobalReach(name, a, b, v4(f"172.31.0.{8 * number}/29"), authorization_key=given))

    @rule(name=REACHES)
    def part(self, name: str) -> None:
        self.ask(c.DisableGlobalReach(name))

    @rule(circuit=CIRCUITS, path=PATHS, peering=PEERINGS, count=st.sampled_from([0, 150, 4000, 4001, 10_001]))
    def report(self, circuit: str, path: Any, peering: Any, count: int) -> None:
        self.ask(c.ReportPrefixes(circuit, peering, path, 4, count))
        self.ask(c.BeginMaintenance(circuit, path))

    @rule(circuit=CIRCUITS, mbps=MBPS, limit=st.booleans())
    def operate(self, circuit: str, mbps: int, limit: bool) -> None:
        self.ask(c.EndMaintenance(circuit))
        self.ask(c.SetThrottle(circuit, mbps))
        self.ask(c.SetProviderPort("Equinix", "Dublin", mbps))
        self.ask(c.SetRateLimit(circuit, limit))

    @rule(vnet=VNETS, circuit=CIRCUITS, port=PORTS, what=st.integers(0, 3))
    def delete(self, vnet: str, circuit: str, port: str, what: int) -> None:
        doomed = (
            c.DeleteCircuit(circuit),
            c.DeleteGateway(f"{vnet}-gw"),
            c.DeleteVnet(vnet),
            c.DeletePortPair(port),
        )
        self.ask(doomed[what])

    @invariant()
    def nothing_contradicts(self) -> None:
        assert contradictions(self.state) == []

    @invariant()
    def every_state_survives_json(self) -> None:
        assert decode_state(json.loads(json.dumps(encode_state(self.state)))) == self.state

    @invariant()
    def port_pairs_never_sell_more_than_twice_their_speed(self) -> None:
        for port in self.state.ports.values():
            assert provisioned_mbps(self.state, port.name) <= 2000 * port.bandwidth_gbps

    @invariant()
    def a_frame_belongs_to_one_peering(self) -> None:
        for circuit, peering in self.state.peerings():
            tags = tuple(tag.vid for tag in tags_of(self.state, circuit, peering))
            ports = (circuit.port, circuit.provider, circuit.location)
            assert frame_owner(self.state, ports, tags) == (circuit.name, peering.name)

    @invariant()
    def nothing_is_open_on_a_circuit_without_its_provider(self) -> None:
        found = list(sessions(self.state))
        assert len({one.key for one in found}) == len(found)
        for one in found:
            assert one.blocked or self.state.circuits[one.circuit].provisioned

    @invariant()
    def all_derived_values_can_be_read(self) -> None:
        for circuit in self.state.circuits.values():
            assert cross_connection(circuit).s_tag == circuit.s_tag
            assert resiliency(self.state, circuit) in ("Standard", "High", "Maximum")
        for link in self.state.connections.values():
            connected = connection_status(self.state, link) == "Connected"
            assert not connected or "private" in self.state.circuits[link.circuit].peerings
        for reach in self.state.reaches.values():
            assert reach_status(self.state, reach) in ("Connected", "Disconnected")


Service.TestCase.settings = settings(max_examples=30, stateful_step_count=30, deadline=None)
TestService = Service.TestCase
