"""Policies as nftables rules against golden files (EDGELAB_UPDATE_GOLDEN=1 writes them anew)."""

from __future__ import annotations

import os
from dataclasses import replace
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path

import pytest

from edge.model import Tag
from edge.net.marking_rules import refusal, table
from edge.net.objects.base import Endpoint
from edge.net.objects.frames import Marking
from edge.qos.model import Policy, Rule
from edge.qos.profiles import PROFILES, profile

GOLDEN = Path(__file__).parent.parent / "golden" / "marking"
AT = Endpoint("ce1", "ams1.200")
TEAMS = Marking(AT, "egress", profile("teams"), "out", "mark", tree=2)
EVERYTHING = Policy(
    "everything",
    (
        Rule(
            "calls", "voice", 46,
            protocols=(17, 1), either_ports=(50000, 50019), destination_ports=(3478, 3478),
        ),
        Rule("inside", "video", 34, source=(IPv4Network("10.0.0.0/9"), IPv4Network("10.128.0.0/9"))),
        Rule(
            "both-sides", "sharing", None,
            source=(IPv4Network("10.0.0.0/8"), IPv6Network("2001:db8::/32")),
            destination=(IPv6Network("2603:1063::/38"),),
        ),
        Rule("marked", "files", 10, existing_dscp=(10, 14)),
        Rule("theirs", "voice", 46, direction="in"),
        Rule("ports-of-icmp", "voice", 46, protocols=(1,), source_ports=(1, 2)),
        Rule("relay", "voice", 46, destination_ports=(3478, 3478), hint="stun"),
        Rule("media", "video", 34, hint="rtp"),
        Rule("never", "voice", 46, protocols=(6,), hint="rtp"),
        Rule("rest", "default", 0),
    ),
    unmatched_dscp=None,
)  # fmt: skip
CASES = {
    "teams": [(0, TEAMS)],
    "everything": [(3, Marking(AT, "egress", EVERYTHING, "out", "mark"))],
    "steered": [(0, replace(TEAMS, policy=EVERYTHING, treatment="steer", tree=0))],
    "knobs": [
        (n, Marking(Endpoint("msee", f"p{n}"), "ingress", Policy("none", ()), "out", "steer", msee=knob))
        for n, knob in enumerate(("pass", "remark", "drop"))
    ],
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_markings_become_rules(name: str) -> None:
    text = table(CASES[name])
    golden = GOLDEN / f"{name}.nft"
    if os.environ.get("EDGELAB_UPDATE_GOLDEN"):
        golden.write_text(text)
    assert text == golden.read_text()


@pytest.mark.parametrize(
    ("obj", "words"),
    [
        (replace(TEAMS, outer=Tag(3)), "do not see tags"),
        (replace(TEAMS, hook="ingress"), "in no queue"),
        (replace(TEAMS, at=Endpoint("ce1", 'a"b')), "cannot be an interface"),
    ],
)
def test_what_nftables_cannot_say_is_refused_in_words(obj: Marking, words: str) -> None:
    refused = refusal(obj)
    assert refused is not None
    assert words in refused


def test_what_the_built_in_policies_ask_for_can_be_said() -> None:
    for name in PROFILES:
        for towards in ("out", "in"):
            assert refusal(replace(TEAMS, policy=profile(name), towards=towards)) is None
