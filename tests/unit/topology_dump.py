"""A LabModel as readable JSON for the golden files: short forms of what people know by sight."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

from edge.model import Originate, StaticRoute, Tag
from edge.net.objects.base import Endpoint
from edge.qos.model import Policy, TrafficClass
from lab.model import LabModel

WIDTH = 108


def dump(model: LabModel) -> str:
    """One JSON text per model; fields that have their default are left out, short parts stand in one line."""
    return _write(_plain(model), "") + "\n"


def _left_out(value: Any, name: str) -> bool:
    """The document and the State: what the model is made of, not what it is."""
    return isinstance(value, LabModel) and name in ("document", "state")


def _plain(value: Any, field_name: str = "") -> Any:
    if isinstance(value, Tag | Endpoint):
        return str(value)
    if isinstance(value, StaticRoute):
        where = f"via {', '.join(map(str, value.via))}" if value.via else f"on {value.device}"
        return f"{value.destination} {where}"
    if isinstance(value, Originate):
        return " ".join([str(value.network), *(f"{a}:{b}" for a, b in value.communities)])
    if isinstance(value, Policy):
        return f"{value.name}: {len(value.rules)} rules, {len(value.classes)} classes"
    if isinstance(value, TrafficClass):
        return f"{value.name} {value.share} %{' strict' if value.strict else ''}"
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        found: dict[str, Any] = {}
        for field in dataclasses.fields(value):
            item = getattr(value, field.name)
            if not _left_out(value, field.name) and item != field.default:
                found[field.name] = _plain(item, field.name)
        return {"check": type(value).__name__, **found} if type(value).__name__.endswith("Check") else found
    if isinstance(value, tuple | list):
        if field_name == "dscp":
            return dict(value)
        if field_name in ("communities", "route_filter"):
            return [f"{a}:{b}" for a, b in value]
        return [_plain(item) for item in value]
    if value is None or isinstance(value, bool | int | str):
        return value
    return str(value)


def _write(value: Any, indent: str) -> str:
    flat = json.dumps(value, ensure_ascii=False)
    if not isinstance(value, dict | list) or len(indent) + len(flat) <= WIDTH:
        return flat
    deeper = indent + " "
    if isinstance(value, dict):
        parts = [f"{deeper}{json.dumps(key)}: {_write(item, deeper)}" for key, item in value.items()]
        return "{\n" + ",\n".join(parts) + f"\n{indent}}}"
    return "[\n" + ",\n".join(deeper + _write(item, deeper) for item in value) + f"\n{indent}]"
