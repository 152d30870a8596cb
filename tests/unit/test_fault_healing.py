"""What a script leaves behind: nothing that can be healed, and word of what cannot."""

from __future__ import annotations

from typing import Any

import pytest
from fault_worlds import CONTOSO, GIVES_UP, LOSS, TAKES, OfALab, entry

from edge.errors import DeadlineError, EdgeError, UsageError
from lab.faults import script as running
from lab.faults.calls import heal_each, not_healed
from lab.faults.schedule import Moment
from lab.model import LabModel
from lab.topology import load


@pytest.fixture(scope="module")
def contoso() -> LabModel:
    return load(CONTOSO)


@pytest.fixture
def asked(contoso: LabModel, monkeypatch: pytest.MonkeyPatch) -> OfALab:
    made = OfALab(contoso)
    monkeypatch.setattr(running, "Client", made)
    return made


def interrupted_at(number: int) -> Any:
    seen: list[Moment] = []

    def told(moment: Moment, _: float) -> None:
        seen.append(moment)
        if len(seen) == number:
            raise KeyboardInterrupt

    return told


def test_an_interrupted_script_heals_the_newest_first_so_that_nothing_is_refused(asked: OfALab) -> None:
    with pytest.raises(KeyboardInterrupt):
        running.run(asked, [entry(GIVES_UP), entry(TAKES), entry(LOSS)], interrupted_at(3))  # type: ignore[arg-type]
    assert asked.names == []
    assert asked.asked == [("lossy",), ("takes",), ("gives",)]


def test_what_cannot_be_healed_is_told_and_the_others_are_healed_all_the_same(asked: OfALab) -> None:
    asked.stuck = ("lossy",)
    with pytest.raises(EdgeError, match=r"(?s)not healed: lossy: the kernel says no.*edgelab heal") as error:
        running.run(asked, [entry(GIVES_UP), entry(LOSS), entry(TAKES)], interrupted_at(3))  # type: ignore[arg-type]
    assert asked.names == ["lossy"]
    assert isinstance(error.value.__cause__, KeyboardInterrupt)
    assert error.value.exit_code == 4


def test_a_fault_that_does_not_fit_ends_the_script_and_its_words_are_not_lost(asked: OfALab) -> None:
    wrong = {**LOSS, "target": "nobody", "name": "wrong"}
    with pytest.raises(UsageError, match="no link or connection nobody"):
        running.run(asked, [entry(GIVES_UP), entry(TAKES), entry(wrong)])  # type: ignore[arg-type]
    assert asked.names == []
    asked.stuck = ("takes",)
    with pytest.raises(EdgeError) as error:
        running.run(asked, [entry(GIVES_UP), entry(TAKES), entry(wrong)])  # type: ignore[arg-type]
    assert "no link or connection nobody" in str(error.value)
    assert "not healed: takes: the kernel says no" in str(error.value)
    assert "not healed: gives: " in str(error.value)
    assert asked.names == ["gives", "takes"]


def test_the_older_of_two_is_refused_alone_and_both_are_healed_when_both_are_asked_for(
    contoso: LabModel,
) -> None:
    asked = OfALab(contoso)
    for words in (GIVES_UP, TAKES):
        asked.request("fault", **words)
    names = asked.names
    assert names == ["gives", "takes"]
    with pytest.raises(UsageError, match="edgelab heal contoso gives takes"):
        asked.request("heal", names=["gives"])
    asked.request("heal", names=names)
    assert asked.names == []


def test_what_is_refused_alone_is_tried_again_together_and_what_is_healed_already_is_no_problem(
    contoso: LabModel,
) -> None:
    asked = OfALab(contoso)
    for words in (GIVES_UP, TAKES, LOSS):
        asked.request("fault", **words)
    names, asked.shy = asked.names, ("takes",)
    assert heal_each(asked, names) == {}  # type: ignore[arg-type]
    assert asked.asked == [("lossy",), ("takes",), ("gives",), ("takes", "gives")]
    assert asked.names == []
    assert heal_each(asked, names) == {}  # type: ignore[arg-type]


def test_a_fault_that_another_keeps_past_its_time_ends_with_that_one(asked: OfALab) -> None:
    told: list[tuple[str, str]] = []

    def note(moment: Moment, _: float) -> None:
        told.append((moment.what, moment.entry.fault.name))

    script = [entry(GIVES_UP, 0.0, 0.02), entry(TAKES, 0.01, 0.03), entry(LOSS, 0.0)]
    assert running.run(asked, script, note) == ["lossy"]  # type: ignore[arg-type]
    assert asked.names == ["lossy"]
    assert [name for what, name in told if what == "ends"] == ["takes", "gives"]


def test_a_fault_that_one_without_an_end_keeps_is_told_with_the_command_that_heals_both(
    asked: OfALab,
) -> None:
    with pytest.raises(EdgeError, match=r"not healed: gives: .*edgelab heal contoso gives takes"):
        running.run(asked, [entry(GIVES_UP, 0.0, 0.01), entry(TAKES, 0.005)])  # type: ignore[arg-type]
    assert asked.names == ["gives", "takes"]


def test_all_that_is_left_is_told_a_line_each() -> None:
    lines = not_healed({"one": "no", "two": "never"}).splitlines()
    assert lines[:2] == ["not healed: one: no", "not healed: two: never"]
    assert "edgelab fault list" in lines[2]


class Late(OfALab):
    """Does not answer a heal in time; the answer would come to whatever is asked next."""

    def __init__(self, model: LabModel) -> None:
        super().__init__(model)
        self.verbs: list[str] = []

    def request(self, op: str, *words: object, **fields: Any) -> dict[str, Any]:
        self.verbs.append(op)
        if op == "heal":
            raise DeadlineError("the lab did not answer")
        return super().request(op, *words, **fields)


def test_nothing_more_is_asked_of_a_lab_that_owes_an_answer(contoso: LabModel) -> None:
    late = Late(contoso)
    late.request("fault", **{**LOSS, "name": "first"})
    late.request("fault", **{**LOSS, "target": "vm1", "name": "second"})
    late.verbs.clear()
    with pytest.raises(DeadlineError):
        heal_each(late, ["first", "second"])  # type: ignore[arg-type]
    assert late.verbs == ["faults", "heal"]
