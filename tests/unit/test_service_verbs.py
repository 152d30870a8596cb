"""The command line's words for the service: every command has one, and each example says what it should."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from edge.errors import UsageError
from lab.cli import cli
from lab.commands import service
from lab.groups import GROUPS
from lab.service.codec import COMMANDS, decode_command
from lab.service.resources import MacSec
from lab.verbs import NAMES, VERBS, Verb, verbs_of


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[dict[str, Any], str]]:
    """What would go to a lab: (command, site)."""
    found: list[tuple[dict[str, Any], str]] = []

    def ask(name: str | None, order: service.Order, output: str) -> int:
        found.append((order.command, order.site))
        return 0

    monkeypatch.setattr(service, "_ask", ask)
    return found


def _say(*words: str) -> tuple[int, str]:
    done = CliRunner().invoke(cli, words)
    return done.exit_code, done.output


def test_every_command_has_a_verb_and_no_two_verbs_share_a_name() -> None:
    assert {verb.command for verb in VERBS} == set(COMMANDS.values())
    assert len({(verb.group, verb.name) for verb in VERBS}) == len(VERBS)
    assert {verb.group for verb in VERBS} == set(GROUPS)


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: f"{verb.group}-{verb.name}")
def test_every_example_is_a_command_of_its_verb(verb: Verb, asked: list[tuple[dict[str, Any], str]]) -> None:
    code, told = _say(verb.group, verb.name, *verb.example.split())
    assert code == 0, told
    command = decode_command(asked[0][0])
    assert type(command) is verb.command
    for name, value in verb.fixed.items():
        assert getattr(command, name) == value


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: f"{verb.group}-{verb.name}")
def test_every_field_is_said_once_and_every_option_explained(verb: Verb) -> None:
    fields = {one.name for one in dataclasses.fields(verb.command)}
    assert fields == {*verb.arguments, *verb.fixed, *(one.name for one in verb.optional)}
    assert set(verb.names) <= set(verb.arguments)
    code, told = _say(verb.group, verb.name, "--help")
    assert code == 0
    assert f"edgelab {verb.group} {verb.name} {verb.example}" in told
    command = service.group(verb.group).get_command(None, verb.name)  # type: ignore[arg-type]
    assert command is not None
    for parameter in command.params:
        if parameter.param_type_name == "option" and parameter.name not in ("lab", "help"):
            assert getattr(parameter, "help", ""), parameter.name


def test_words_become_values(asked: list[tuple[dict[str, Any], str]]) -> None:
    for words in (
        ("circuit", "bandwidth", "ams", "10G"),
        ("gateway", "traffic", "hub-gw", "off"),
        ("vnet", "community", "hub", "none"),
        ("port", "macsec", "pair", "PRIMARY", "ckn,cak,gcmaesxpn256,enabled"),
        ("port", "macsec", "pair", "primary", "none"),
        ("peering", "set", "ams", "private", "--vlan", "1", "--peer-asn", "2", "--no-bfd"),
    ):
        assert _say(*words)[0] == 0
    commands: list[Any] = [decode_command(one) for one, _ in asked]
    assert commands[0].bandwidth_mbps == 10_000
    assert commands[1].allow_remote_vnet_traffic is False
    assert commands[2].community is None
    assert commands[3].macsec == MacSec("ckn", "cak", "GcmAesXpn256", "Enabled")
    assert (commands[4].macsec, commands[5].bfd) == (None, False)


def test_a_subscription_is_said_and_left_to_the_lab_else(asked: list[tuple[dict[str, Any], str]]) -> None:
    for more in ((), ("--subscription", "other")):
        assert _say("filter", "create", "f", "teams", *more)[0] == 0
    assert "scope" not in asked[0][0]
    assert asked[1][0]["scope"] == {"subscription": "other", "resource_group": "other"}


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("circuit bandwidth ams fast", "200M or 10G"),
        ("vnet create v westeurope 10.0.0.0", "no prefix"),
        ("vnet create v westeurope 10.0.0.1/8", "host bits"),
        ("reach enable r a b fd00::/125", "no prefix that fits"),
        ("vnet community hub 12076", "12076:20001"),
        ("gateway traffic hub-gw yes", "neither on nor off"),
        ("peering disable ams public", "is not one of"),
        ("port macsec p primary ckn", "CKN,CAK"),
        ("circuit create lon", "Missing option"),
        ("circuit shrink ams", "No such command"),
    ],
)
def test_a_wrong_word_is_a_wrong_command_line(
    line: str, words: str, asked: list[tuple[dict[str, Any], str]]
) -> None:
    code, told = _say(*line.split())
    assert code == 2
    assert words in told
    assert asked == []


def test_names_are_completed_from_the_state_that_the_lab_keeps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import fcntl

    lab = tmp_path / "contoso"
    lab.mkdir()
    state = {
        "circuits": {"ams": {"authorizations": {"fabrikam": {}}}, "lon": {}},
        "filters": {"office": {}},
    }
    (lab / "service.json").write_text(json.dumps({"version": 1, "state": state}))
    monkeypatch.setenv("EDGELAB_DIR", str(tmp_path))
    with (lab / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for line, expected in (
            ("peering disable ", ["ams", "lon"]),
            ("peering disable l", ["lon"]),
            ("authorization revoke ams ", ["fabrikam"]),
            ("filter attach ams ", ["office"]),
            ("circuit create ", []),
        ):
            monkeypatch.setenv("COMP_WORDS", f"edgelab {line}")
            monkeypatch.setenv("COMP_CWORD", str(len(line.split(" "))))
            done = CliRunner().invoke(
                cli, [], prog_name="edgelab", env={"_EDGELAB_COMPLETE": "bash_complete"}
            )
            assert [one.partition(",")[2] for one in done.output.split()] == expected, line


def test_the_tables_that_names_come_from_are_there() -> None:
    from lab.service.state import State

    tables = {one.name for one in dataclasses.fields(State)} | {"authorizations"}
    assert set(NAMES.values()) <= tables
    assert {table for verb in VERBS for table in verb.names.values()} <= tables
    assert all(verbs_of(group) for group in GROUPS)


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: f"{verb.group}-{verb.name}")
def test_a_program_orders_by_the_words_of_the_command_line(
    verb: Verb, asked: list[tuple[dict[str, Any], str]]
) -> None:
    words = (verb.group, verb.name, *verb.example.split())
    order = service.order_of(words)
    _say(*words)
    assert (order.command, order.site) == asked[0]
    assert not order.dry_run


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "one of: circuit, "),
        (("circuits",), "one of: circuit, "),
        (("circuit", "widen"), "circuit bandwidth"),
        (("circuit", "bandwidth", "ams"), "Missing argument"),
        (("circuit", "bandwidth", "ams", "much"), "write one such as 200M"),
        (("circuit", "delete", "ams", "--help"), "--help"),
    ],
)
def test_words_that_are_no_order_are_refused_with_a_way_out(words: tuple[str, ...], said: str) -> None:
    with pytest.raises(UsageError, match=re.escape(said)):
        service.order_of(words)
