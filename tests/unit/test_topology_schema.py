"""The JSON Schema for editors."""

from __future__ import annotations

import json
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import lab
from lab.service.limits import FAMILIES, GATEWAYS, TIERS
from lab.topology import json_schema
from lab.topology.circuit_schema import Sku
from lab.topology.schema import Vnet

COMMITTED = Path(lab.__file__).parent / "topologies" / "edgelab.schema.json"


def _objects(schema: Any) -> Iterator[dict[str, Any]]:
    if isinstance(schema, dict):
        if schema.get("type") == "object" and "properties" in schema:
            yield schema
        for part in schema.values():
            yield from _objects(part)
    elif isinstance(schema, list):
        for part in schema:
            yield from _objects(part)


def test_the_committed_schema_is_fresh() -> None:
    """Write it anew with `edgelab schema > lab/topologies/edgelab.schema.json`."""
    assert json.loads(COMMITTED.read_text(encoding="utf-8")) == json_schema()


def test_no_object_takes_unknown_keys() -> None:
    objects = list(_objects(json_schema()))
    assert len(objects) > 15
    assert all(one["additionalProperties"] is False for one in objects)


def test_every_key_is_described() -> None:
    undescribed = [
        f"{one['title']}.{key}"
        for one in _objects(json_schema())
        for key, value in one["properties"].items()
        if not value.get("description")
    ]
    assert undescribed == []


def test_gateways_and_tiers_of_the_schema_are_those_of_the_service() -> None:
    assert typing.get_args(Vnet.model_fields["gateway"].annotation) == tuple(GATEWAYS)
    assert typing.get_args(Sku.model_fields["tier"].annotation) == TIERS
    assert typing.get_args(Sku.model_fields["family"].annotation) == FAMILIES


def test_a_lone_value_or_a_list_are_both_in_the_schema() -> None:
    lan = json_schema()["$defs"]["Site"]["properties"]["lan"]
    assert [part.get("type") for part in lan["anyOf"]] == ["string", "array"]
