"""`edge explain`, `edge show` and `edge validate` as a user meets them."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from edge.cli import cli
from edge.program import run
from edge.qos.packets import octets, parse
from edge.qos.policyfile import loads
from edge.qos.profiles import PROFILES, profile

ROOT = Path(__file__).parents[2]
CALL = "udp 10.1.0.10:50005 > 52.112.0.10:3479"

Edge = Callable[..., tuple[int, str, str]]


@pytest.fixture
def edge(capfd: pytest.CaptureFixture[str]) -> Edge:
    """Runs the command in this process: (exit status, standard output, standard error)."""

    def call(*words: str) -> tuple[int, str, str]:
        return run(cli, "edge", list(words)), *capfd.readouterr()

    return call


@pytest.fixture
def policy_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A good file with something to remark on."""
    monkeypatch.chdir(tmp_path)
    Path("mine.yml").write_text(
        "name: mine\nextends: teams\nrules:\n"
        "  - {name: phones, class: voice, protocol: udp, ports: 16384-32767}\n"
        "  - {name: one-phone, class: video, protocol: udp, source_ports: 20000}\n"
        "  - {name: sip, class: sharing, dscp: CS3, protocol: udp, destination_ports: 5060}\n"
        "  - {name: never, class: files, ports: 1, source_ports: 2, destination_ports: 3}\n"
        "  - {name: all-media, class: voice, protocol: [tcp, udp], ports: 50000-50019}\n",
        encoding="utf-8",
    )
    return "mine.yml"


def pcap(frame: bytes, link_type: int = 1) -> bytes:
    """A capture of one packet."""
    head = bytes.fromhex("d4c3b2a1020004000000000000000000ffff0000") + link_type.to_bytes(4, "little")
    return head + bytes(8) + len(frame).to_bytes(4, "little") * 2 + frame


@pytest.mark.parametrize("verb", ["explain", "show", "validate"])
def test_help_of_a_verb_has_an_example_that_names_it(edge: Edge, verb: str) -> None:
    status, out, _ = edge(verb, "--help")
    assert status == 0
    assert f"edge {verb}" in out.partition("Example")[2]
    assert f"\n  {verb} " in edge("--help")[1]


def test_explain_prints_the_way_of_a_packet_and_the_rules(edge: Edge) -> None:
    status, out, _ = edge("explain", "udp 10.1.0.10:6000 > 52.112.0.10:3480 dscp CS3", "--policy", "teams")
    assert status == 0
    rows = [line.split() for line in out.splitlines()]
    assert ["rule", "5", "teams-relay-video-out"] in rows
    assert ["class", "video"] in rows
    assert ["DSCP", "CS3", "(24)", "->", "AF41", "(34)"] in rows
    assert ["at", "the", "MSEE", "accepted", "as", "AF41", "(34)"] in rows
    assert [
        "had",
        "nobody",
        "marked",
        "it",
        "pass:",
        "CS3",
        "(24),",
        "remark:",
        "CS0",
        "(0),",
        "drop:",
        "dropped",
    ] in rows
    assert ["3", "teams-relay-audio-out", "no", "destination", "port", "3480", "is", "not", "3479"] in rows


def test_explain_as_json_has_a_version_and_everything(edge: Edge) -> None:
    status, out, _ = edge("explain", f"{CALL} vlan 100", "--policy", "teams", "--format", "json")
    document = json.loads(out)
    (packet,) = document["packets"]
    assert (status, document["version"]) == (0, 1)
    assert packet["packet"]["words"] == f"{CALL} vlan 100"
    assert packet["packet"]["tags"] == [{"tpid": "0x8100", "vid": 100}]
    assert packet["verdict"] == {
        "rule": 0,
        "rule_name": "teams-audio",
        "position": None,
        "class": "voice",
        "queue": 0,
        "dscp": 46,
        "changed": True,
    }
    assert packet["msee"] == {"pass": 46, "remark": 46, "drop": 46}
    assert packet["msee_without_policy"] == {"pass": 0, "remark": 0, "drop": 0}


def test_explain_takes_a_packet_in_several_words_and_tells_the_policy_that_nobody_named(edge: Edge) -> None:
    status, out, _ = edge("explain", *CALL.split(), "dscp", "CS3")
    assert (status, out.splitlines()[0]) == (0, f"{CALL} dscp CS3")
    assert "policy teams, as no --policy names another" in [
        " ".join(line.split()) for line in out.splitlines()
    ]
    assert "[default: teams]" in " ".join(edge("explain", "--help")[1].split())
    assert "--policy" not in edge("explain", CALL, "--policy", "teams")[1]


@pytest.mark.parametrize("words", [("validate",), ("mark", "a.pcap", "b.pcap")])
def test_a_verb_that_needs_a_policy_names_those_there_are(edge: Edge, words: tuple[str, ...]) -> None:
    status, out, err = edge(*words)
    assert (status, out) == (2, "")
    assert f"Missing option '--policy'. Built in are {', '.join(PROFILES)} (see edge show); or name" in err


def test_explain_names_the_line_of_a_rule_in_a_file(edge: Edge, policy_file: str) -> None:
    _, out, _ = edge("explain", "udp 10.1.0.10:16384 > 10.1.0.11:9", "--policy", policy_file)
    assert "0 phones (mine.yml:4:5)" in out


def test_explain_on_private_peering_leaves_the_dscp(edge: Edge) -> None:
    _, out, _ = edge("explain", f"{CALL} dscp CS3", "--policy", "teams", "--peering", "private")
    assert "CS3 (24), private peering carries it unchanged" in out
    assert "private peering gives no priority in Microsoft's network" in out


def test_explain_reads_hexadecimal_of_frames_and_of_packets(edge: Edge) -> None:
    frame = octets(parse(CALL))
    for text in (frame.hex(" "), frame[14:].hex(" ", 2)):
        status, out, _ = edge("explain", "--hex", text, "--policy", "teams")
        assert (status, out.splitlines()[0]) == (0, CALL)


TCPDUMP = """\
22:13:20.528523 IP 10.1.0.10.50005 > 52.112.0.10.3479: UDP, length 4
\t0x0000:  0200 0000 0002 0200 0000 0001 8100 0064
\t0x0010:  0800 4500 0020 0000 4000 4011 fc48 0a01
\t0x0020:  000a 3470 000a c355 0d97 000c 6de2 4141
\t0x0030:  4141
"""
"""What `tcpdump -xx -c 1 udp` printed for a frame with a tag."""


def test_explain_reads_what_tcpdump_prints_as_its_help_says(edge: Edge) -> None:
    assert " tcpdump -xx -c 1 udp | edge explain --hex -\n" in edge("explain", "--help")[1]
    words = [sys.executable, "-m", "edge.cli", "explain", "--hex", "-"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    result = subprocess.run(words, input=TCPDUMP, env=environment, capture_output=True, text=True, timeout=60)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.splitlines()[0] == f"{CALL} vlan 100"


def test_explain_reads_a_capture(edge: Edge, tmp_path: Path) -> None:
    path = tmp_path / "call.pcap"
    path.write_bytes(pcap(octets(parse(CALL))))
    status, out, err = edge(
        "explain", "--pcap", str(path), "-n", "5", "--policy", "teams", "--format", "json"
    )
    assert (status, err) == (0, "")
    assert [packet["packet"]["words"] for packet in json.loads(out)["packets"]] == [CALL]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "give one packet: in words, or with --hex, or with --pcap FILE"),
        (("--policy", "teams"), "give one packet: in words, or with --hex, or with --pcap FILE"),
        ((CALL, "--hex", "00", "--policy", "teams"), "give one packet"),
        ((CALL, "--policy", "teems"), "there is no policy 'teems'; did you mean teams?"),
        ((CALL, "--policy", "nowhere.yml"), "nowhere.yml: there is no such file"),
        (("udp 10.1.0.10 > 10.1.0.11:9", "--policy", "teams"), "10.1.0.10 has no port"),
        (("--hex", "zz", "--policy", "teams"), "'zz' is not hexadecimal"),
        (("--pcap", "nowhere.pcap", "--policy", "teams"), "nowhere.pcap cannot be read"),
        ((CALL, "-n", "5"), "-n counts packets of a capture; give --pcap FILE with it"),
        ((f"{CALL} dscp EF dscp CS3",), "dscp stands in the packet twice; write it once"),
        # What is left of an unquoted packet when the shell has taken the end behind > as a file to write.
        (("udp", "10.1.0.10:50005"), "in quotes: a shell takes > for itself"),
        (("udp", "10.1.0.10:50005", "dscp", "EF"), "in quotes: a shell takes > for itself"),
        ((CALL, "--policy", "teams", "--direction", "up"), "'up' is not one of 'out', 'in'"),
    ],
)
def test_a_wrong_command_line_is_exit_2_with_words_on_stderr(edge: Edge, words, said: str) -> None:
    status, out, err = edge("explain", *words)
    assert (status, out) == (2, "")
    assert said in err
    assert "Traceback" not in err


def test_a_capture_without_packets_or_of_another_link_is_refused(edge: Edge, tmp_path: Path) -> None:
    path = tmp_path / "some.pcap"
    path.write_bytes(pcap(b"")[:24])
    assert edge("explain", "--pcap", str(path), "--policy", "teams")[0] == 2
    path.write_bytes(pcap(bytes(40), link_type=105))
    status, _, err = edge("explain", "--pcap", str(path), "--policy", "teams")
    assert status == 2
    assert "packet 1 of" in err
    path.write_bytes(b"no capture at all, but some text")
    assert edge("explain", "--pcap", str(path), "--policy", "teams")[0] == 2


def test_show_lists_the_policies(edge: Edge) -> None:
    status, out, _ = edge("show")
    assert status == 0
    assert [line.split()[0] for line in out.splitlines()[1:]] == list(PROFILES)
    document = json.loads(edge("show", "--format", "json")[1])
    assert [one["name"] for one in document["policies"]] == list(PROFILES)


def test_show_prints_one_policy_for_people_programs_and_editors(edge: Edge) -> None:
    _, table, _ = edge("show", "--policy", "teams")
    assert "existing_dscp: AF41" in table
    document = json.loads(edge("show", "--policy", "teams", "--format", "json")[1])
    assert (document["version"], document["policy"]["name"]) == (1, "teams")
    _, text, _ = edge("show", "--policy", "teams", "--format", "yaml")
    assert len(loads(text, "p.yml").rules) == len(profile("teams").rules)
    status, _, err = edge("show", "--format", "yaml")
    assert (status, "name it, for example --policy teams" in err) == (2, True)


def test_validate_says_what_can_have_no_effect(edge: Edge, policy_file: str) -> None:
    status, out, _ = edge("validate", "--policy", policy_file)
    assert status == 0
    shadowed = "can never match:"
    higher = "put it higher, or take the rule out"
    shares = "shares packets with"
    assert out.splitlines() == [
        "mine.yml: good: policy mine, 20 rules, 5 classes",
        f"mine.yml:5:5: rule one-phone {shadowed} phones takes all its packets; {higher}",
        f"mine.yml:7:5: rule never {shadowed} no packet meets all its conditions; take some out, "
        "or take the rule out",
        f"rule teams-audio (built in) {shadowed} all-media takes all its packets; {higher}",
        f"mine.yml:6:5: rule sip {shares} phones (mine.yml:4:5), which decides: class voice, not sharing",
        f"mine.yml:8:5: rule all-media {shares} sip (mine.yml:6:5), which decides: class sharing, not voice",
        "mine.yml:6:5: rule sip sets DSCP CS3 (24), which Microsoft peering does not know: "
        "the MSEE makes it 0",
    ]
    document = json.loads(edge("validate", "--policy", policy_file, "--format", "json")[1])
    assert document["version"] == 1
    assert document["shadowed"][0] == {"rule": 1, "covered_by": [0]}
    assert document["outside_table"] == [{"rule": 2, "dscp": 24, "at_msee": 0}]


def port_by_port(count: int) -> str:
    """A policy of so many rules that ask for one port each."""
    rules = (
        f"  - {{name: r{n}, class: {('voice', 'video')[n % 2]}, protocol: udp, ports: {1000 + n}}}\n"
        for n in range(count)
    )
    return "name: ports\nrules:\n" + "".join(rules)


def test_validate_refuses_what_nothing_can_load_and_says_from_which_rule_on(
    edge: Edge, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("large.yml").write_text(port_by_port(1024), encoding="utf-8")
    status, out, err = edge("validate", "--policy", "large.yml")
    assert (status, out) == (2, "")
    found = re.fullmatch(
        r"large\.yml:(\d+):5: rules\.(\d+): from rule r(\d+) on, policy ports: "
        r"its table would need more than 512 KiB; fewer rules .*\n",
        err,
    )
    assert found is not None
    line, index, rule = map(int, found.groups())
    assert (line, index) == (rule + 3, rule)
    # So many are good: the place is where the file must end.
    Path("largest.yml").write_text(port_by_port(rule), encoding="utf-8")
    assert edge("explain", CALL, "--policy", "largest.yml")[0] == 0
    status, _, err = edge("explain", CALL, "--policy", "large.yml")
    assert (status, "its table would need more than 512 KiB" in err) == (2, True)


def test_validate_names_some_rivals_of_a_rule_and_counts_the_others(edge: Edge, tmp_path: Path) -> None:
    path = tmp_path / "ports.yml"
    path.write_text(port_by_port(10), encoding="utf-8")
    lines = edge("validate", "--policy", str(path))[1].splitlines()
    assert [line.partition("rule ")[2] for line in lines if ":12:5: " in line] == [
        *(
            f"r9 shares packets with r{n} ({path}:{n + 3}:5), which decides: class voice, not video"
            for n in (0, 2, 4)
        ),
        "r9: and 2 more; --format json lists them",
    ]
    document = json.loads(edge("validate", "--policy", str(path), "--format", "json")[1])
    assert len([one for one in document["overlaps"] if one["second"] == 9]) == 5


def test_validate_says_everything_that_is_wrong(edge: Edge) -> None:
    bad = ROOT / "tests" / "golden" / "qos" / "bad" / "contradictions.yml"
    status, out, err = edge("validate", "--policy", str(bad))
    assert (status, out, len(err.splitlines())) == (2, "", 4)


def test_commands_that_explain_nothing_do_not_import_the_heavy_parts() -> None:
    heavy = "'rich', 'pydantic', 'pyroute2', 'ruamel.yaml'"
    code = (
        "import sys; from edge.cli import cli; from edge.program import run; "
        "status = run(cli, 'edge', ['explain', '--help']); "
        f"sys.exit(status or [name for name in ({heavy}) if name in sys.modules] or 0)"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    result = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert (result.returncode, result.stderr) == (0, "")
