"""What the file may say about faults: a script of what goes wrong when."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, PlainValidator, WithJsonSchema

from lab.faults.kinds import KINDS
from lab.faults.units import DURATION
from lab.topology.part import Part
from lab.topology.suggest import hint_for
from lab.topology.values import refuse

NO_FAULT = {"at": "0s", "kind": "silent", "target": ""}
"""What stands in for a fault that the schema does not accept."""


def _duration(value: object) -> str:
    try:
        return DURATION.show(DURATION.read(value))
    except ValueError as error:
        words, _, hint = str(error).partition("; ")
        refuse(words, hint)


def _kind(value: object) -> str:
    if value not in KINDS:
        refuse(f"no kind of fault {value}", hint_for(str(value), KINDS))
    return str(value)


When = Annotated[
    str,
    PlainValidator(_duration),
    WithJsonSchema({"type": "string", "pattern": DURATION.pattern, "examples": ["500ms", "5s", "2m"]}),
]
KindName = Annotated[str, PlainValidator(_kind), WithJsonSchema({"type": "string", "enum": list(KINDS)})]
Options = Annotated[
    dict[str, Any],
    WithJsonSchema({"type": "object", "additionalProperties": {"type": ["string", "integer"]}}),
]


class FaultSpec(Part):
    """A fault that begins some time after the script does. Kinds and options: docs/faults.md."""

    at: When = Field(description="How long after the begin of the script.")
    lasts: When | None = Field(
        default=None, alias="for", description="How long it lasts; until `edgelab heal` when left out."
    )
    kind: KindName = Field(description="The kind of fault.")
    target: str = Field(
        description="What it harms: a link, a circuit, a router, as `edgelab fault list` says of the kind."
    )
    name: str | None = Field(default=None, description="To heal it by; made of kind and target.")
    options: Options = Field(
        default_factory=dict, description="Options of the kind.", examples=[{"part": "2%"}]
    )
