"""From a topology file to a LabModel, and from a running lab's State to the next.

    file -> source -> schema -> service_commands -> placing -> State --+
                         |          refusals become problems           +-> rules -> derivation -> LabModel
                         +-> the customer's side (sites, machines) ----+
    command -> lab.service.apply -> State --------------------------^

source    text to a tree of values that know their line and column
policies, own_configs  policy files and configurations of users' own routers that it names, written out
schema    what a file may say, key by key (pydantic); `values` are its scalars, `words` its messages
validate  the schema applied, every problem reported, and what is left when the bad parts are cut off
service_commands, placing  the file's orders issued to the empty service; its refusals at their places
layout, rules  what neither a key nor the service can tell: references, names, the customers' addresses
derivation  the whole lab from the customer's side of a document and a State: `orders` joins the two, then
          one module per tier

Example: `edgelab circuit throttle ams --mbps 100` on a running lab is `SetThrottle("ams", 100)`; the
supervisor asks `lab.service.apply`, derives the model of (its document, the new State), and of the plan that
leads there one step is left, the policer of the provider's cross-connection. A refusal ends it at the first
arrow, an overlap with a LAN or a name that is taken at the rules; in both cases nothing has been touched.

`import lab.topology` is light; pydantic and the YAML reader are imported by the first call.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from lab.model import LabModel

if TYPE_CHECKING:
    from lab.service.state import State
    from lab.topology.source import Source

__all__ = ["derive", "json_schema", "load", "loads", "of_document"]


def load(path: Path) -> LabModel:
    """The lab that a topology file describes. Raises InputError with every problem, placed in the file."""
    from lab.topology import source

    return _model_of_file(source.read(path), path.parent)


def loads(text: str, filename: str) -> LabModel:
    """The same from text; `filename` stands in the problems. Raises InputError.

    Other files that it names are looked for where a file of that name would be.
    """
    from lab.topology import source

    return _model_of_file(source.parse(text, filename), Path(filename).parent)


def of_document(document: dict[str, Any], directory: Path) -> LabModel:
    """The same from data, made as a file would be written. Raises InputError without positions.

    directory: where other files that it names are looked for.
    """
    from lab.topology import source

    return _model_of_file(source.from_document(document), directory)


def _model_of_file(found: Source, directory: Path) -> LabModel:
    from lab.topology import own_configs, policies
    from lab.topology.validate import model_of

    return model_of(found, [*policies.write_out(found, directory), *own_configs.write_out(found, directory)])


def derive(document: dict[str, Any], state: State | None = None) -> LabModel:
    """The same from a validated document (`LabModel.document`, or JSON of a request).

    state: the service as commands have changed it; None for what the document's own orders lead to. Both
    are checked again, so a document made by hand is safe to give. Raises InputError without positions.
    """
    from lab.topology import source
    from lab.topology.validate import model_of

    return model_of(source.from_document(document), state=state)


def json_schema() -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of topology files, for editors and `edgelab schema`."""
    from lab.topology import schema as topology_schema

    return topology_schema.json_schema()
