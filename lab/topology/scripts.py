"""The script of a file's `faults:` as the model has it."""

from __future__ import annotations

from dataclasses import replace

from lab.faults.faulted import read
from lab.faults.schedule import Scripted
from lab.faults.units import DURATION
from lab.model import LabModel
from lab.topology.faults_schema import FaultSpec
from lab.topology.schema import Topology


def scripted(model: LabModel, topology: Topology) -> LabModel:
    """The model with the file's script; what a command has deleted since is left for its run to tell of."""
    script: list[Scripted] = []
    for spec in topology.faults:
        taken = [] if spec.name else [one.fault.name for one in script]
        script.append(entry(spec, taken))
    return replace(model, script=tuple(script)) if script else model


def entry(spec: FaultSpec, taken: list[str]) -> Scripted:
    """One entry, whose target nobody has looked for. Raises UsageError with every problem of its words."""
    fault = read(None, spec.model_dump(include={"kind", "target", "name", "options"}), taken)
    length = float(DURATION.read(spec.lasts)) if spec.lasts is not None else None
    return Scripted(float(DURATION.read(spec.at)), length, fault)
