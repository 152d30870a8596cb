"""Faults of which one takes what another gave up, and a lab that answers as a supervisor does without one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import lab
from edge.errors import EdgeError, UsageError
from lab.faults.faulted import clinging, read
from lab.faults.model import Active
from lab.faults.schedule import Scripted
from lab.faults.telling import kept_by, to_json
from lab.model import LabModel

CONTOSO = Path(lab.__file__).parent / "topologies" / "contoso.edge.yml"
PRIVATE, MICROSOFT = "ams/private/primary", "ams/microsoft/primary"
GIVES_UP = {"kind": "wrong-tag", "target": PRIVATE, "options": {"c-tag": "101"}, "name": "gives"}
TAKES = {"kind": "wrong-tag", "target": MICROSOFT, "options": {"c-tag": "100"}, "name": "takes"}
LOSS: dict[str, Any] = {"kind": "loss", "target": "pc1", "options": {}, "name": "lossy"}


class OfALab:
    """Answers as a lab's supervisor does, by the same decisions, over a model that nothing carries out."""

    directory: OfALab

    def __init__(self, model: LabModel, stuck: tuple[str, ...] = ()) -> None:
        self.model, self.stuck, self.directory = model, stuck, self
        self.shy: tuple[str, ...] = ()
        self.asked: list[tuple[str, ...]] = []

    def __call__(self, _: object) -> OfALab:
        return self

    def __enter__(self) -> OfALab:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def hang_up(self) -> None:
        pass

    def running(self) -> bool:
        return True

    def request(self, op: str, *_: object, **fields: Any) -> dict[str, Any]:
        known = {one.fault.name: one for one in self.model.faults}
        if op == "faults":
            return {"faults": [to_json(one) for one in self.model.faults]}
        if op == "fault":
            active = Active(read(self.model, fields, known), float(len(known)))
            self.model = replace(self.model, faults=(*self.model.faults, active))
            return {"fault": to_json(active)}
        assert op == "heal"
        names = tuple(fields["names"])
        self.asked.append(names)
        if set(names) - known.keys():
            raise UsageError("no such fault is active")
        if set(names) & set(self.stuck) or (len(names) == 1 and names[0] in self.shy):
            raise EdgeError("the kernel says no")
        if kept := clinging(self.model, [known[name] for name in names]):
            raise UsageError(kept_by("contoso", [known[name] for name in names], kept))
        left = tuple(one for one in self.model.faults if one.fault.name not in names)
        self.model = replace(self.model, faults=left)
        return {"healed": names}

    @property
    def names(self) -> list[str]:
        return [one.fault.name for one in self.model.faults]


def entry(words: dict[str, Any], at_s: float = 0.0, for_s: float | None = None) -> Scripted:
    return Scripted(at_s, for_s, read(None, words))
