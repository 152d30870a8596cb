"""Policy files. Golden pairs: a good file and the policy it means, a bad file and the exact words for it.

EDGELAB_UPDATE_GOLDEN=1 writes the expected files anew; read the difference before committing it.
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings

from edge.errors import InputError, UsageError
from edge.qos.model import RULES_MAX, Policy, Rule
from edge.qos.policyfile import find, load, loads
from edge.qos.policykeys import CLASS_KEYS, POLICY_KEYS, RULE_KEYS
from edge.qos.policytext import to_data, to_yaml
from edge.qos.profiles import PROFILES, profile
from tests.unit.qos_strategies import policies

GOLDEN = Path(__file__).parent.parent / "golden" / "qos"
GOOD = sorted((GOLDEN / "good").glob("*.yml"))
BAD = sorted((GOLDEN / "bad").glob("*.yml"))


def _expect(path: Path, text: str) -> None:
    if os.environ.get("EDGELAB_UPDATE_GOLDEN"):
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")


def refusal(text: str) -> str:
    with pytest.raises(InputError) as refused:
        loads(text, "p.yml")
    return str(refused.value)


def bare(policy: Policy) -> Policy:
    """The policy without positions."""
    return replace(policy, rules=tuple(replace(rule, position="") for rule in policy.rules))


def contradicts(rule: Rule) -> bool:
    """Whether a rule asks for what no packet has together."""
    asks_ports = rule.source_ports or rule.destination_ports or rule.either_ports
    versions = [{prefix.version for prefix in side} for side in (rule.source, rule.destination)]
    return bool(
        (asks_ports and set(rule.protocols) == {1})
        or (rule.hint and rule.protocols and 17 not in rule.protocols)
        or (all(versions) and not versions[0] & versions[1])
    )


def test_there_are_golden_files_of_both_kinds() -> None:
    assert len(GOOD) >= 2
    assert len(BAD) >= 14
    results = {*(GOLDEN / "good").glob("*.json"), *(GOLDEN / "bad").glob("*.txt")}
    assert results == {p.with_suffix(".json") for p in GOOD} | {p.with_suffix(".txt") for p in BAD}


@pytest.mark.parametrize("path", GOOD, ids=lambda path: path.stem)
def test_a_good_file_means_exactly_this_policy(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(path.parent)
    text = json.dumps(to_data(load(Path(path.name))), indent=1)
    _expect(path.with_suffix(".json"), f"{text}\n")


@pytest.mark.parametrize("path", BAD, ids=lambda path: path.stem)
def test_a_bad_file_is_refused_in_exactly_these_words(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(path.parent)
    with pytest.raises(InputError) as refused:
        load(Path(path.name))
    _expect(path.with_suffix(".txt"), f"{refused.value}\n")


@pytest.mark.parametrize("path", BAD, ids=lambda path: path.stem)
def test_every_refusal_has_a_position_and_a_way_out(path: Path) -> None:
    with pytest.raises(InputError) as refused:
        load(path)
    for problem in refused.value.problems:
        assert problem.line >= 1
        assert problem.column >= 1
        assert problem.hint


def test_the_golden_file_with_every_key_has_every_key() -> None:
    text = (GOLDEN / "good" / "every-key.yml").read_text(encoding="utf-8")
    absent = [key for key in (*POLICY_KEYS, *RULE_KEYS, *CLASS_KEYS) if not re.search(rf"\b{key}:", text)]
    assert absent == []


@pytest.mark.parametrize("name", PROFILES)
def test_a_profile_printed_as_yaml_is_the_profile_again(name: str) -> None:
    assert bare(loads(to_yaml(profile(name)), "p.yml")) == profile(name)


@settings(max_examples=150, deadline=None)
@given(policies())
def test_any_policy_that_a_file_can_say_survives_yaml(policy: Policy) -> None:
    named = tuple(replace(rule, name=f"r{number}") for number, rule in enumerate(policy.rules))
    text = to_yaml(replace(policy, rules=named))
    if any(contradicts(rule) for rule in named):
        assert re.search("has no ports|looks into UDP|where the source is", refusal(text))
        return
    again = loads(text, "p.yml")
    hinted = tuple(replace(r, protocols=r.protocols or (17,)) if r.hint else r for r in named)
    assert bare(again) == replace(policy, rules=hinted)


def test_rules_of_the_file_stand_above_those_of_its_profile() -> None:
    policy = loads("name: a\nextends: teams\nrules:\n  - {name: mine, class: voice}\n", "p.yml")
    assert [rule.name for rule in policy.rules] == ["mine", *(rule.name for rule in profile("teams").rules)]
    assert policy.rules[0].position == "p.yml:4:5"
    assert policy.rules[0].dscp == 46


def test_a_class_of_ones_own_needs_a_dscp() -> None:
    text = "name: a\nclasses: {gold: {share: 5}, default: {share: 5}}\nrules: [{name: b, class: gold}]\n"
    assert "3:9: rules.0.dscp: is missing; add `dscp`" in refusal(text)


def test_a_policy_has_a_most_of_rules() -> None:
    lines = "\n".join(f"  - {{name: r{number}, class: voice}}" for number in range(RULES_MAX))
    assert len(loads(f"name: a\nrules:\n{lines}\n", "p.yml").rules) == RULES_MAX
    assert "1039 rules are more than 1024" in refusal(f"name: a\nextends: teams\nrules:\n{lines}\n")


def test_servers_narrow_the_rules_for_servers_only() -> None:
    policy = loads("name: a\nextends: skype-server\nservers: 10.1.5.0/24\n", "p.yml")
    narrowed = {rule.name for rule in policy.rules if rule.source or rule.destination}
    assert narrowed == {
        f"{end}-{what}" for end in ("server", "edge") for what in ("audio", "video", "sharing")
    }


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("teems", "there is no policy 'teems'; did you mean teams?, or name a file"),
        ("nowhere.yml", "nowhere.yml: there is no such file; check the name given with --policy"),
        ("./teams", "teams: there is no such file"),
    ],
)
def test_a_policy_that_is_not_there_is_refused(word: str, said: str, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises((InputError, UsageError)) as refused:
        find(word)
    assert said in str(refused.value)


def test_a_file_without_a_suffix_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine").write_text("name: a\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    assert find("mine").name == "a"
    assert find("teams") == profile("teams")
