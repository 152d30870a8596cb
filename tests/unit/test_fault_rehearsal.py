"""What a script's check foretells is what its run says, for faults that fit only with or without another."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest
from fault_worlds import CONTOSO, GIVES_UP, LOSS, MICROSOFT, PRIVATE, TAKES, OfALab, entry

from edge.errors import EdgeError, UsageError
from lab.faults import script as running
from lab.faults.rehearsal import Snag, Taken, Unhealed, Unmade, rehearse
from lab.faults.schedule import Scripted
from lab.faults.telling import cannot_end
from lab.model import LabModel
from lab.topology import load

TICK_S = 0.001
CRASH: dict[str, Any] = {"kind": "crash", "target": "ce1", "name": "crash"}
SAME = {"kind": "wrong-tag", "target": MICROSOFT, "options": {"c-tag": "101"}, "name": "same"}
"""Fits alone, but not while a tag of 101 is on that port."""


@pytest.fixture(scope="module")
def contoso() -> LabModel:
    return load(CONTOSO)


def words_of_run(contoso: LabModel, script: list[Scripted], monkeypatch: pytest.MonkeyPatch) -> str:
    """What a run of the script ends with; empty when it ends well."""
    asked = OfALab(contoso)
    monkeypatch.setattr(running, "Client", asked)
    try:
        running.run(asked, script)  # type: ignore[arg-type]
    except EdgeError as error:
        return str(error)
    return ""


def kinds_of(found: list[Snag]) -> list[tuple[type[Snag], int]]:
    return [(type(one), one.number) for one in found]


@pytest.mark.parametrize("second", [TAKES, SAME, CRASH, LOSS], ids=lambda words: str(words["name"]))
def test_two_faults_at_any_times_go_wrong_as_foretold_and_in_the_same_words(
    contoso: LabModel, second: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = set()
    lasts = (None,) if second is CRASH else (None, 2, 5)
    for first_for, second_at, second_for in product((None, 1, 3), (0, 1, 2), lasts):
        script = [
            entry(GIVES_UP, TICK_S, first_for and first_for * TICK_S),
            entry(second, second_at * TICK_S, second_for and second_for * TICK_S),
        ]
        found = rehearse(contoso, script)
        told = words_of_run(contoso, script, monkeypatch)
        assert bool(told) == bool(found), (script, told, found)
        seen |= {type(one) for one in found}
        for one in found:
            if isinstance(one, Unmade):
                assert "\n".join(one.why) == told
            elif isinstance(one, Unhealed):
                assert cannot_end(one.together, one.kept) in told
    assert seen == {"takes": {Unmade, Unhealed}, "same": {Unmade}}.get(str(second["name"]), set())


def test_what_fits_only_on_top_of_another_is_right_while_that_one_is_there(contoso: LabModel) -> None:
    assert rehearse(contoso, [entry(GIVES_UP, 0.0, 4.0), entry(TAKES, 1.0, 1.0)]) == []
    # The first is healed with the second, after its own time.
    assert rehearse(contoso, [entry(GIVES_UP, 0.0, 2.0), entry(TAKES, 1.0, 3.0)]) == []
    # At one time ends come first, as in a run.
    late = rehearse(contoso, [entry(GIVES_UP, 0.0, 1.0), entry(TAKES, 1.0)])
    assert kinds_of(late) == [(Unmade, 1)]
    early = rehearse(contoso, [entry(GIVES_UP, 1.0), entry(TAKES, 0.0)])
    assert kinds_of(early) == [(Unmade, 1)]
    assert isinstance(late[0], Unmade)
    assert late[0].why == ("ce1 has these tags on the same port; write others",)


def test_all_that_is_kept_is_told_with_what_keeps_it(contoso: LabModel) -> None:
    further = {**GIVES_UP, "target": PRIVATE.replace("primary", "secondary"), "name": "further"}
    follows = {**TAKES, "target": MICROSOFT.replace("primary", "secondary"), "name": "follows"}
    script = [
        entry(GIVES_UP, 0.0, 1.0),
        entry(further, 0.0, 1.5),
        entry(TAKES, 0.5),
        entry(follows, 0.5, 9.0),
        entry(LOSS, 0.0, 1.0),
    ]
    (snag,) = rehearse(contoso, script)
    assert isinstance(snag, Unhealed)
    assert (snag.number, [one.fault.name for one in snag.together]) == (0, ["gives"])
    assert [one.active.fault.name for one in snag.kept] == ["takes"]
    # Without an end of the other one, both wait for ever.
    found = rehearse(contoso, [*script[:3], entry(follows, 0.5)])
    assert kinds_of(found) == [(Unhealed, 0), (Unhealed, 1)]
    assert isinstance(found[1], Unhealed)
    assert cannot_end(found[1].together, found[1].kept).startswith("gives and further cannot be healed alone")


def test_a_name_is_taken_as_long_as_its_fault_is_kept_past_its_time(
    contoso: LabModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = [
        entry(GIVES_UP, 0.0, 2 * TICK_S),
        entry(TAKES, TICK_S, 3 * TICK_S),
        entry({**LOSS, "name": "gives"}, 3 * TICK_S),
    ]
    assert rehearse(contoso, script) == [Taken(2)]
    assert "a fault gives is active" in words_of_run(contoso, script, monkeypatch)
    script[2] = entry({**LOSS, "name": "gives"}, 4 * TICK_S)
    assert rehearse(contoso, script) == []
    assert words_of_run(contoso, script, monkeypatch) == ""


def test_what_cannot_be_made_is_left_out_of_what_follows(contoso: LabModel) -> None:
    nowhere = {**GIVES_UP, "target": "ams/private/tertiary"}
    found = rehearse(contoso, [entry(nowhere, 0.0, 1.0), entry(TAKES, 0.5), entry(LOSS, 0.5)])
    assert kinds_of(found) == [(Unmade, 0), (Unmade, 1)]
    with pytest.raises(UsageError):
        OfALab(contoso).request("fault", **nowhere)
