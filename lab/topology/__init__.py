"""From a topology file to a LabModel: source (positions) -> schema -> rules -> derivation.

source    text to a tree of values that know their line and column
policies  policy files that it names, written out in their place
schema    what a file may say, key by key (pydantic); `values` are its scalars, `words` its messages
validate  the schema applied, every problem reported, and what is left when the bad parts are cut off
rules     what no single key can tell: references, overlaps, the service's rules (lab.service)
derivation  the whole lab from a valid document: `orders` resolves circuits, then one module per tier

`import lab.topology` is light; pydantic and the YAML reader are imported by the first call.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lab.model import LabModel

__all__ = ["derive", "json_schema", "load", "loads"]


def load(path: Path) -> LabModel:
    """The lab that a topology file describes. Raises InputError with every problem, placed in the file."""
    from lab.topology import policies, source
    from lab.topology.validate import model_of

    found = source.read(path)
    return model_of(found, policies.write_out(found, path.parent))


def loads(text: str, filename: str) -> LabModel:
    """The same from text; `filename` stands in the problems. Raises InputError.

    Policy files are looked for where a file of that name would be.
    """
    from lab.topology import policies, source
    from lab.topology.validate import model_of

    found = source.parse(text, filename)
    return model_of(found, policies.write_out(found, Path(filename).parent))


def derive(document: dict[str, Any]) -> LabModel:
    """The same from a validated document (`LabModel.document`, or JSON of a request).

    It is checked again, so a document made by hand is safe to give. Raises InputError without positions.
    """
    from lab.topology import source
    from lab.topology.validate import model_of

    return model_of(source.from_document(document))


def json_schema() -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of topology files, for editors and `edgelab schema`."""
    from lab.topology import schema as topology_schema

    return topology_schema.json_schema()
