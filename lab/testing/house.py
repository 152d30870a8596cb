"""The labs of one test process: each begins when a test first wants it and ends with the scope it is for."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from edge.errors import EdgeError, UsageError
from lab import api
from lab.model import LabModel
from lab.testing.condition import Condition, in_words, look
from lab.testing.evidence import folder_for, gather
from lab.testing.wishes import Links, Wish

LONGEST_NAME = 32
"""Characters of a lab's name (lab.state.NAME_PATTERN)."""


@dataclass(frozen=True, slots=True)
class Habits:
    """What the options say for all tests.

    worker: of pytest-xdist, or "main". topology: for tests whose marker names none. evidence: where folders
    of evidence go. capture: what to record while a test runs, empty for nothing.
    """

    worker: str
    topology: Path | None
    links: Links
    wait_s: float
    evidence: Path
    capture: str


@dataclass(slots=True)
class Held:
    """A lab that is there, or why it is not. condition: how the next test finds it. evidence: of the why."""

    key: str
    lab: api.Lab | None = None
    condition: Condition | None = None
    problem: str = ""
    evidence: Path | None = None

    def raise_problem(self) -> None:
        """Raise EdgeError when it is not there."""
        if self.problem:
            raise EdgeError(self.problem)


class Shelf:
    """The labs of one scope, for as long as that lasts."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._held: dict[str, Held] = {}

    def take(self, wish: Wish, directory: Path, test: str) -> Held:
        """The lab that a test wants, made if need be. Raises UsageError, InputError for what it says.

        directory: where its files are looked for. test: who asks first, for the evidence. One that did not
        come up is not tried again.
        """
        model = self._house.model(wish, directory)
        links = wish.links or self._house.habits.links
        key = json.dumps([model.document, links, wish.settled], sort_keys=True)
        held = self._held.get(key)
        if held is not None and held.lab is not None and not held.lab.running:
            self.throw_away(held)
            held = None
        if held is None:
            held = self._held[key] = self._house.build(key, model, links, wish.settled, test)
        return held

    def throw_away(self, held: Held) -> None:
        """Destroy a lab; who wants it next gets a new one."""
        self._held.pop(held.key, None)
        if held.lab is not None:
            held.lab.destroy()

    def close(self) -> None:
        """Destroy all."""
        for held in tuple(self._held.values()):
            self.throw_away(held)


class House:
    """Makes labs, with names that no other process of this or another test run gives."""

    def __init__(self, habits: Habits) -> None:
        self.habits = habits
        self._models: dict[str, LabModel] = {}
        self._numbers = count(1)

    def model(self, wish: Wish, directory: Path) -> LabModel:
        """The topology of a wish; each is read once. Raises UsageError without any, InputError."""
        topology = wish.topology if wish.topology is not None else self.habits.topology
        if topology is None:
            raise UsageError(
                'the fixture lab needs a topology: mark the test @pytest.mark.edgelab("lab.edge.yml"), '
                "or say --edgelab-topology=FILE, or edgelab_topology in the ini file"
            )
        if isinstance(topology, Mapping):
            key = f"{directory} {json.dumps(topology, sort_keys=True, default=str)}"
        else:
            key = f"{directory} {os.fspath(topology)}"
        if key not in self._models:
            self._models[key] = api.read(topology, directory)
        return self._models[key]

    def name(self, topology: str) -> str:
        """A name for the next lab of a topology."""
        tail = f"-{self.habits.worker}-{os.getpid():x}-{next(self._numbers)}"
        return topology[: LONGEST_NAME - len(tail)].rstrip("-") + tail

    def build(self, key: str, model: LabModel, links: Links, settled: bool, test: str) -> Held:
        """Bring a lab up; of one that does not come up as it should the evidence is kept."""
        try:
            lab = api.deploy(
                model,
                self.name(model.name),
                links=links,
                wait_s=self.habits.wait_s if settled else None,
                tied=True,
            )
        except EdgeError as error:
            return Held(key, problem=f"lab {model.name} cannot be deployed: {error}")
        try:
            if not lab.pending or not settled:
                return Held(key, lab, look(lab))
            held = self._not_whole(key, lab, model.name, test)
        except BaseException:
            lab.destroy()
            raise
        lab.destroy()
        return held

    def _not_whole(self, key: str, lab: api.Lab, topology: str, test: str) -> Held:
        """Why a lab is no good, with its evidence."""
        why = tuple(
            f"session {one.name} of {one.namespace} to {one.neighbor}: {one.why or one.state}"
            for one in lab.sessions()
            if not one.established and not one.shut
        )
        words = (
            f"lab {topology} is not whole {self.habits.wait_s:g} s after it was deployed:\n{in_words(why)}"
        )
        place = folder_for(self.habits.evidence, f"{test}.deploy")
        try:
            return Held(key, problem=words, evidence=gather(lab, place, f"deployed for {test}"))
        except OSError as error:
            return Held(key, problem=f"{words}\nevidence could not be written: {error}")
