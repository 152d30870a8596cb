"""Any sequence of commands on a lab: each is refused, or leads to a lab that can be built (hypothesis)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import lab
from edge.errors import UsageError
from lab.compile import compile_lab
from lab.model import LabModel
from lab.ordering import order
from lab.refused import RefusedError
from lab.service import commands as c
from lab.service.codec import decode_state, encode_state
from lab.service.resources import Scope
from lab.topology import load
from tests.unit.service_worlds import net, v4, v6

GALLERY = Path(lab.__file__).parent / "topologies"
MODELS = {name: load(GALLERY / f"{name}.edge.yml") for name in ("contoso", "managed", "point-to-point")}
REALISATIONS: tuple[Any, ...] = ("kernel", "bpf", "ring")


def _pick(*values: Any) -> Any:
    return st.sampled_from(values)


NEW = ("c1", "c2")
CIRCUITS = _pick("ams", "london", *NEW)
VNETS = _pick("hub", "v1", "v2")
GATEWAYS = _pick("hub-gw", "v1-gw")
PATHS = _pick("primary", "secondary")
PEERINGS = _pick("private", "microsoft")
SPACES = _pick((net("10.50.0.0/16"),), (net("10.60.0.0/16"), net("10.1.0.0/16")), (net("10.61.0.0/29"),))
SUBNETS = _pick(
    (net("10.50.255.224/27"),), (net("10.60.255.0/27"),), (net("10.61.0.0/29"),), (net("10.1.255.0/28"),)
)


@st.composite
def _commands(draw: Any, scope: Scope) -> tuple[c.Command, str]:
    """A command, and the site for a new circuit."""
    circuit, vnet, gateway = draw(CIRCUITS), draw(VNETS), draw(GATEWAYS)
    peering, path = draw(PEERINGS), draw(PATHS)
    number = draw(st.integers(20, 23))
    links = (v4(f"192.168.{number}.0/29"),) if draw(st.booleans()) else ()
    public = (v4(f"198.51.100.{8 * (number - 18)}/29"),)
    made: list[Any] = [
        c.CreateCircuit(
            draw(_pick(*NEW)),
            draw(_pick("standard", "premium")),
            "metered",
            draw(_pick(50, 1000)),
            provider="Equinix",
            location=draw(_pick("Amsterdam", "London")),
            scope=scope,
        ),
        c.Provision(circuit),
        c.Deprovision(circuit),
        c.DeleteCircuit(circuit),
        c.ChangeBandwidth(circuit, draw(_pick(100, 1000))),
        c.SetThrottle(circuit, draw(st.integers(0, 500))),
        c.PutPeering(
            circuit,
            "private",
            draw(_pick(100, 101, 200)),
            draw(_pick(65010, 65001, 4_200_000_000)),
            links,
            (v6(f"fd00:{number}::/125"),) if draw(st.booleans()) else (),
            by=draw(_pick("Customer", "Provider")),
            bfd=draw(st.booleans()),
        ),
        c.PutPeering(
            circuit,
            "microsoft",
            draw(_pick(100, 200, 201)),
            64496,
            public,
            advertised_prefixes=(net(draw(_pick("203.0.113.0/28", "203.0.113.32/32", "203.0.113.64/27"))),),
            legacy=draw(st.booleans()),
        ),
        c.ValidatePrefixes(circuit),
        c.DisablePeering(circuit, peering),
        c.EnablePeering(circuit, peering),
        c.ResetPeering(circuit, peering),
        c.DeletePeering(circuit, peering),
        c.BeginMaintenance(circuit, path),
        c.EndMaintenance(circuit),
        c.CreateRouteFilter("f", ("teams",), scope),
        c.AttachFilter(circuit, draw(_pick("f", "ams-filter"))),
        c.DetachFilter(circuit),
        c.CreateVnet(draw(_pick("v1", "v2", "teams")), "westeurope", draw(SPACES), scope),
        c.SetAddressSpace(vnet, draw(SPACES)),
        c.UseRemoteGateway(vnet, draw(_pick("hub", "v1", ""))),
        c.SetVnetCommunity(vnet, (12076, 20001)),
        c.DeleteVnet(vnet),
        c.CreateGateway("v1-gw", vnet, "ErGw1AZ", draw(SUBNETS), scope=scope),
        c.SetGatewayTraffic(gateway, draw(st.booleans())),
        c.SetSummaries(gateway, (net("10.60.0.0/14"),)),
        c.DeleteGateway(gateway),
        c.LinkVnet(draw(_pick("l1", "l2")), gateway, circuit, draw(st.integers(0, 5)), scope=scope),
        c.Unlink(draw(_pick("hub-ams", "hub-london", "l1", "l2"))),
        c.EnableGlobalReach("r", circuit, draw(_pick("c1", "ams")), v4(f"172.31.{number}.0/29")),
        c.DisableGlobalReach("r"),
    ]
    command = draw(st.sampled_from(made))
    site = draw(_pick("", "hq", "plant")) if isinstance(command, c.CreateCircuit) else ""
    return command, site


def _ends(model: LabModel) -> set[tuple[str, str, int, int]]:
    return {
        (str(one.local), str(one.neighbor), one.local_asn, one.peer_asn)
        for router in model.routers
        for vrf in router.vrfs
        for one in vrf.sessions
    }


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_every_accepted_command_leads_to_a_lab_that_can_be_built(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(MODELS)))
    model = MODELS[name]
    scope = Scope(name, name)
    for _ in range(data.draw(st.integers(1, 8))):
        command, site = data.draw(_commands(scope))
        try:
            after = order(model, command, site=site).model
        except (RefusedError, UsageError):
            continue
        model = after
    compile_lab(model, data.draw(st.sampled_from(REALISATIONS)))
    assert decode_state(encode_state(model.state)) == model.state
    nodes = [node.name for node in model.nodes]
    assert len(set(nodes)) == len(nodes)
    if name == "contoso" and set(model.state.circuits) <= {"ams"}:
        # At Layer 2 who orders configures both ends, so every end of an edge's session has its other.
        found = _ends(model)
        ours = {one for one in found if one[2] == 12076 and one[3] not in (12076, 65515)}
        assert {(b, a, d, e) for a, b, e, d in ours} <= found
