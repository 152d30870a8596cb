"""From a compiled table back to its policy."""

from __future__ import annotations

from dataclasses import replace

import pytest

from edge.qos.model import CLASSES, Policy, Rule
from edge.qos.profiles import profile
from edge.qos.recognise import Outcome, built_in, outcomes, recognise
from edge.qos.steering import at_msee_ingress, with_control
from edge.qos.table import compile_policy, map_value

MINE = Policy("mine", (Rule("calls", "voice", 46, direction="in"), Rule("back", "files", None)))


def test_verdicts_are_read_as_they_were_compiled() -> None:
    none = Outcome(None, 4, 0)
    assert outcomes(compile_policy(MINE, "in", "mark")) == (none, Outcome(0, 0, 46), Outcome(1, 3, None))
    assert outcomes(compile_policy(MINE, "out", "steer")) == (Outcome(None, 4, None), Outcome(1, 3, None))
    with pytest.raises(ValueError, match="ends before"):
        outcomes(compile_policy(MINE, "out", "mark")[:230])


@pytest.mark.parametrize("name", ["teams", "skype-server", "none"])
def test_a_built_in_policy_is_known_by_its_octets_in_either_form(name: str) -> None:
    for policy in (profile(name), with_control(profile(name))):
        for direction in ("out", "in"):
            for treatment in ("mark", "steer"):
                table = map_value(compile_policy(policy, direction, treatment))
                found = recognise(table, built_in())
                assert found is not None
                assert name in found.names
                assert found.policy.rules == policy.rules


def test_policies_that_only_the_knob_tells_apart_are_all_named() -> None:
    found = recognise(compile_policy(at_msee_ingress("drop"), "out", "steer"), built_in())
    assert found is not None
    assert set(found.names) >= {"msee-remark", "msee-drop"}


def test_almost_the_same_is_not_the_same() -> None:
    rule = replace(profile("teams").rules[0], either_ports=(50000, 50018))
    other = replace(profile("teams"), rules=(rule, *profile("teams").rules[1:]))
    assert recognise(compile_policy(other, "out", "mark"), built_in()) is None
    assert recognise(compile_policy(other, "out", "mark"), [*built_in(), other]) is not None
    fewer = Policy("fewer", (), (*CLASSES[:-1], replace(CLASSES[-1], queue=7)))
    assert recognise(compile_policy(fewer, "out", "mark"), built_in()) is None
