"""States and commands as JSON, the tables beside them, and what a damaged document is told."""

from __future__ import annotations

import ast
import copy
import dataclasses
import json
import typing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge.errors import InputError
from lab import service
from lab.service import azure_names, resources
from lab.service.apply import HANDLERS
from lab.service.codec import COMMANDS, decode_command, decode_state, encode_command, encode_state
from lab.service.commands import Command, CreateAuthorization, EnableGlobalReach
from lab.service.consistency import contradictions
from lab.service.refusal import Refusal
from lab.service.resources import Scope
from lab.service.rulebook import RULES
from lab.service.state import State
from tests.unit.service_worlds import (
    circuit,
    done,
    microsoft,
    private,
    v4,
    with_circuit,
    with_microsoft,
    with_port,
    with_vnet,
)
from tests.unit.topology_strategies import GARBAGE, damaged

WORLD = done(
    with_vnet(
        with_circuit(done(with_microsoft(), private()), "dub", "premium", location="Dublin", number=16)
    ),
    EnableGlobalReach("r", "ams", "dub", v4("172.31.0.0/29")),
    CreateAuthorization("ams", "a"),
)


def test_a_state_is_the_same_after_json() -> None:
    for state in (State(), WORLD, with_port()):
        assert decode_state(json.loads(json.dumps(encode_state(state)))) == state


def test_a_command_is_the_same_after_json_and_carries_its_name() -> None:
    document = json.loads(json.dumps(encode_command(microsoft())))
    assert document["command"] == "PutPeering"
    assert document["v4"] == ["198.51.100.0/29"]
    assert decode_command(document) == microsoft()


def test_every_command_has_a_handler_and_a_name_in_json() -> None:
    every = set(typing.get_args(Command))
    assert set(HANDLERS) == every == set(COMMANDS.values())


def _damage(path: list[Any], value: object) -> dict[str, Any]:
    document = copy.deepcopy(encode_state(WORLD))
    here = document
    for part in path[:-1]:
        here = here[part]
    here[path[-1]] = value
    return document


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        (["version"], 2, "version: only version 1"),
        (["extra"], 2, "version and state and nothing else"),
        (["state"], [], "state: an object is expected"),
        (["state", "circuits", "ams", "tier"], "gold", "state.circuits.ams.tier: 'gold' is none of local"),
        (["state", "circuits", "ams", "metro"], 1, "state.circuits.ams.metro: 1 is not of type bool"),
        (["state", "circuits", "ams", "s_tag"], True, "s_tag: True is not of type int"),
        (["state", "circuits", "ams", "color"], "blue", "circuits.ams.color: Circuit has no such field"),
        (["state", "circuits", "ams"], {}, "state.circuits.ams: Circuit lacks name, scope"),
        (["state", "vnets", "hub", "address_space"], ["10.0.0.1/8"], "'10.0.0.1/8' is no IPv4 prefix"),
        (["state", "vnets", "hub", "address_space"], "x", "address_space: a list is expected"),
        (["state", "vnets", "hub", "community"], [1], "a list of 2 is expected"),
        (["state", "reaches", "r", "circuit"], "lon", "Global Reach r names lon, which is not there"),
        (["state", "circuits", "ams", "name"], "lon", "circuit ams calls itself lon"),
        (["state", "circuits", "ams", "location"], "Atlantis", "ams names Atlantis, which is not there"),
        (["state", "circuits", "ams", "bandwidth_mbps"], 123, "123 Mbit/s, which is not sold"),
        (
            ["state", "connections", "hub-ams", "authorization"],
            "a",
            "are used by {'a': 'hub-ams'} and say {}",
        ),
        (["state", "gateways"], {}, "connection hub-ams names hub-gw, which is not there"),
    ],
)
def test_a_damaged_state_is_refused_with_its_place(path: list[Any], value: object, words: str) -> None:
    with pytest.raises(InputError) as caught:
        decode_state(_damage(path, value), "state.json")
    assert words in str(caught.value)
    assert str(caught.value).startswith("state.json: ")


@pytest.mark.parametrize("document", [None, {}, {"command": "Explode"}, {"command": "Provision"}])
def test_what_is_no_command_is_refused(document: object) -> None:
    with pytest.raises(InputError):
        decode_command(document)


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_any_damage_gives_a_state_without_contradictions_or_input_errors(data: st.DataObject) -> None:
    for document in (data.draw(damaged(encode_state(WORLD))), data.draw(GARBAGE)):
        try:
            state = decode_state(document)
        except InputError:
            continue
        assert contradictions(state) == []


def test_contradictions_of_sums_and_doubles_are_found() -> None:
    pair = with_port()
    twice = replace(
        circuit(WORLD), name="dub2", location="Dublin", s_tag=WORLD.circuits["dub"].s_tag, peerings={}
    )
    found = contradictions(replace(WORLD, circuits={**WORLD.circuits, "dub2": twice}))
    assert any(one.startswith("service key") for one in found)
    assert any(one.startswith("S-tag") for one in found)
    big = replace(twice, provider="", port="pair", bandwidth_mbps=40_000, location="Amsterdam")
    assert contradictions(replace(pair, circuits={"dub2": big})) == ["port pair pair has sold 40000 Mbit/s"]


def _codes() -> set[str]:
    """Codes of all refusals that the package makes, read from its source."""
    found = set()
    for path in Path(service.__path__[0]).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Refusal":
                first = node.args[0]
                if isinstance(first, ast.Constant):
                    found.add(str(first.value))
    return found


def test_the_service_imports_nothing_that_acts() -> None:
    allowed = ("lab.service", "lab.model", "edge.model", "edge.errors")
    standard = {"__future__", "collections", "dataclasses", "functools", "hashlib", "ipaddress"}
    standard |= {"re", "types", "typing", "uuid"}
    for path in Path(service.__path__[0]).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [one.name for one in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            for name in names:
                assert name.startswith(allowed) or name.split(".")[0] in standard, (path.name, name)


def test_every_refusal_stands_in_the_rulebook_and_every_rule_is_used() -> None:
    assert _codes() == set(RULES)


def test_every_rule_has_a_source_and_a_status_and_words() -> None:
    for rule in RULES.values():
        assert rule.status in (400, 403, 404, 409)
        assert rule.source == "own" or rule.source.split()[0] in ("facts", "RFC", "IEEE")
        assert rule.text
    assert (Refusal("KeyLong", "x").source, Refusal("KeyLong", "x").status) == ("facts 3.2", 400)


def test_every_field_of_a_resource_has_its_name_in_the_api() -> None:
    own = {resources.Scope, resources.Registration, resources.Quota, resources.Received}
    kinds = {
        one for one in vars(resources).values() if isinstance(one, type) and dataclasses.is_dataclass(one)
    }
    assert set(azure_names.FIELDS) == kinds - own
    for kind, names in azure_names.FIELDS.items():
        assert set(names) == {one.name for one in dataclasses.fields(kind)}, kind


def test_ids_and_skus_read_as_in_the_api() -> None:
    scope = Scope("0000", "rg")
    assert azure_names.resource_id(scope, resources.Circuit, "ams", "peerings", "AzurePrivatePeering") == (
        "/subscriptions/0000/resourceGroups/rg/providers/Microsoft.Network/expressRouteCircuits/ams"
        "/peerings/AzurePrivatePeering"
    )
    assert azure_names.sku_name("premium", "metered") == "Premium_MeteredData"
