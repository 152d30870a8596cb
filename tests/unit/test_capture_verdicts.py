"""What `capture --verdict` says, on frames made by hand at places of the reference lab."""

from __future__ import annotations

from ipaddress import ip_address
from pathlib import Path

import pytest

from lab.capture import Frame
from lab.captureplaces import resolve_all
from lab.model import LabModel
from lab.sifting import Sifting
from lab.topology import load

CONTOSO = Path(__file__).parents[2] / "lab" / "topologies" / "contoso.edge.yml"

MACS = bytes.fromhex("020000000002 020000000001")
PC, TEAMS, VM = "10.1.0.10", "52.112.0.10", "10.50.1.4"


@pytest.fixture(scope="module")
def model() -> LabModel:
    return load(CONTOSO)


def udp(source: str, destination: str, ports: tuple[int, int], dscp: int, *vids: int) -> bytes:
    tags = b"".join(b"\x81\x00" + vid.to_bytes(2, "big") for vid in vids)
    payload = b"".join(port.to_bytes(2, "big") for port in ports) + (8).to_bytes(2, "big") + bytes(2)
    header = bytes([0x45, dscp << 2]) + (20 + len(payload)).to_bytes(2, "big") + bytes(4) + b"\x40\x11\0\0"
    addresses = ip_address(source).packed + ip_address(destination).packed
    return MACS + tags + b"\x08\x00" + header + addresses + payload


def said(model: LabModel, where: str, way: str, octets: bytes) -> str:
    sift = Sifting(model, resolve_all(model, (where,)), verdict=True)
    ((_, words),) = sift([Frame(0, 1, octets, len(octets), way)])  # type: ignore[arg-type]
    return words


def test_on_the_lan_the_edge_has_yet_to_mark(model: LabModel) -> None:
    frame = udp(PC, TEAMS, (50005, 3479), 0)
    expected = (
        "class voice, queue 0, by rule 4 teams-audio of teams; microsoft peering, towards Microsoft; "
        "DSCP CS0 (0) -> EF (46); the MSEE accepts EF (46)"
    )
    assert said(model, "pc1", "outbound", frame) == expected
    assert said(model, "ce1-lan", "inbound", frame) == expected


def test_on_the_circuit_it_is_marked(model: LabModel) -> None:
    assert said(model, "ams-primary", "outbound", udp(PC, TEAMS, (50005, 3479), 46, 3, 200)) == (
        "class voice, queue 0, by rule 4 teams-audio of teams; microsoft peering, towards Microsoft; "
        "DSCP EF (46); the MSEE accepts EF (46)"
    )


def test_a_frame_that_nobody_marked_shows_what_is_wrong(model: LabModel) -> None:
    words = said(model, "ams-primary", "outbound", udp(PC, TEAMS, (50005, 3479), 24, 3, 200))
    assert "DSCP CS3 (24), not EF (46) as the policy marks; the MSEE makes CS3 (24) CS0 (0)" in words


def test_on_private_peering_marks_are_carried_and_promise_nothing(model: LabModel) -> None:
    words = said(model, "ams-primary", "outbound", udp(PC, VM, (50005, 3479), 46, 3, 100))
    assert words.startswith("class voice, queue 0, by rule 4 teams-audio of teams; private peering")
    assert words.endswith("DSCP EF (46), carried unchanged")


def test_what_comes_back_is_judged_by_the_msees_policy(model: LabModel) -> None:
    words = said(model, "ams-primary", "inbound", udp(TEAMS, PC, (3479, 50005), 46, 3, 200))
    assert "of microsoft; microsoft peering, from Microsoft; DSCP EF (46)" in words
    assert "the MSEE" not in words


def test_a_routers_own_protocol_keeps_its_class_after_it_lost_its_dscp(model: LabModel) -> None:
    bfd = udp("198.51.100.1", "198.51.100.2", (49152, 3784), 0, 3, 200)
    assert said(model, "ams-primary", "outbound", bfd).startswith("class control, queue 5, by rule 1")


@pytest.mark.parametrize(
    ("where", "way", "vids"),
    [("vm1", "outbound", ()), ("ams-primary", "outbound", (3, 300)), ("ams-primary", "unknown", (3, 200))],
)
def test_where_nothing_judges_nothing_is_said(
    model: LabModel, where: str, way: str, vids: tuple[int, ...]
) -> None:
    assert said(model, where, way, udp(PC, TEAMS, (50005, 3479), 0, *vids)) == ""


def test_frames_between_hosts_of_the_lan_are_none_of_the_edges_business(model: LabModel) -> None:
    assert said(model, "pc1", "outbound", udp(PC, "10.1.0.11", (50005, 3479), 0)) == ""


def test_what_is_not_ip_has_no_class(model: LabModel) -> None:
    arp = MACS + bytes.fromhex("8100 0003 8100 0064 0806") + bytes(28)
    assert said(model, "ams-primary", "outbound", arp) == "no class: not IP: ARP"


def test_only_frames_of_a_class_are_kept_where_one_is_asked_for(model: LabModel) -> None:
    wanted = resolve_all(model, ("ams-primary/voice", "ams-secondary"))
    frames = [
        Frame(place, 1, octets, len(octets), "outbound")
        for place in (0, 1)
        for octets in (
            udp(PC, TEAMS, (50005, 3479), 46, 3, 200),
            udp(PC, TEAMS, (40000, 443), 0, 3, 200),
        )
    ]
    sift = Sifting(model, wanted)
    assert sift(frames) == [(frame, "") for frame in (frames[0], frames[2], frames[3])]
    assert [sift.kept(place) for place in (0, 1)] == ["class voice", ""]


def test_a_rule_for_a_dscp_that_was_changed_is_still_found() -> None:
    from dataclasses import replace

    from edge.qos.dissect import dissect
    from edge.qos.model import Policy, Rule, Verdict
    from lab.vantage import vantage
    from lab.verdicts import _before_it_was_marked

    model = load(CONTOSO)
    (item,) = resolve_all(model, ("ams-primary",))
    applied = vantage(model, item.place).tagged[(3, 200), "out"]
    policy = Policy("phones", (Rule("old-phones", "voice", 46, existing_dscp=(41,)),))
    seen = dissect(udp(PC, TEAMS, (1, 2), 46, 3, 200))
    found = _before_it_was_marked(replace(applied, policy=policy), seen, Verdict("default", None, 0, 4))
    assert found == Verdict("voice", 0, 46, 0)
