"""Checks do not hold for want of proof: frames nobody can read, silent routers, failing servers."""

from __future__ import annotations

from ipaddress import ip_address
from pathlib import Path

import pytest

from lab.check_model import NeverCheck
from lab.checks.flows import judge_never
from lab.checks.names import judge_answer
from lab.checks.opaque import carries, readable_places, unreadable
from lab.checks.sessions import judge_sessions, pair
from lab.checks.talk import Sighting, Tally
from lab.model import LabModel, NameCheck, SessionsCheck
from lab.names.query import Answer
from lab.sessions import SessionState
from lab.topology import load

TOPOLOGIES = Path(__file__).parents[2] / "lab" / "topologies"
MACS = bytes(12)
TOKEN = b"tokentok"


def ipv4(protocol: int, payload: bytes) -> bytes:
    return bytes((0x45, 0, 0, 0, 0, 0, 0, 0, 64, protocol)) + bytes(10) + payload


def udp(port: int, payload: bytes) -> bytes:
    return ipv4(17, port.to_bytes(2, "big") * 2 + bytes(4) + payload)


def ether(packet: bytes, ethertype: int = 0x0800, tags: bytes = b"") -> bytes:
    return MACS + tags + ethertype.to_bytes(2, "big") + packet


@pytest.mark.parametrize(
    ("frame", "kind"),
    [
        (ether(bytes(60), 0x88E5), "MACsec"),
        (ether(bytes(60), 0x88E5, bytes.fromhex("8100 0064")), "MACsec"),
        (ether(ipv4(50, bytes(40))), "ESP"),
        (ether(bytes((0x60, 0, 0, 0, 0, 40, 50, 64)) + bytes(72), 0x86DD), "ESP"),
        (ether(udp(4500, b"\0\0\0\7" + bytes(40))), "ESP in UDP"),
        (ether(bytes.fromhex("00010140") + ipv4(50, bytes(40)), 0x8847), "ESP"),
        (ether(bytes.fromhex("00010140 00000000") + bytes(40), 0x8847), "MPLS without IP"),
        (ether(udp(4500, bytes(40))), ""),
        (ether(udp(20002, bytes(40))), ""),
        (ether(bytes(60), 0x888E), ""),
        (ether(bytes(28), 0x0806), ""),
        (b"", ""),
    ],
)
def test_what_hides_the_payload_of_a_frame_is_told(frame: bytes, kind: str) -> None:
    assert unreadable(frame) == kind


def test_our_packets_are_found_inside_others_and_not_where_icmp_quotes_them() -> None:
    ours = udp(20002, TOKEN + b"\0\0")
    assert carries(ether(ipv4(4, ours)), TOKEN) > 0
    assert carries(ours, TOKEN) > 0, "on a tunnel's device, which has no Ethernet"
    assert carries(ether(ipv4(1, bytes(8) + ours)), TOKEN) == -1
    assert carries(ether(udp(20002, b"another!")), TOKEN) == -1


def never(
    *frames: bytes, dropped: int = 0, inside: tuple[str, ...] = (), vanished: str = ""
) -> tuple[bool, str]:
    tally = Tally(TOKEN, ("default",))
    tally.seen[Sighting("pc1:eth0", "out", "default", 0, ())] += 8
    for way in ("out", "in"):
        tally.sent["default", way] = tally.arrived["default", way] = 8
    for frame in frames:
        tally.take("hq-inet:internet", frame)
    tally.dropped = {"hq-inet:internet": dropped} if dropped else {}
    tally.vanished = frozenset({vanished} - {""})
    check = NeverCheck("pc1", "vm1", "hq-inet-internet")
    verdict = judge_never(check, tally, {"hq-inet:internet"}, {"pc1:eth0"}, inside)
    return verdict.ok, verdict.words


def test_never_is_not_proven_where_the_device_was_away() -> None:
    ok, words = never(vanished="hq-inet:internet")
    assert (ok, "hq-inet:internet was deleted meanwhile" in words) == (False, True)
    assert never(vanished="vm1:eth0")[0], "another device says nothing of this one"


def test_never_is_not_proven_by_frames_that_cannot_be_read() -> None:
    esp = ether(ipv4(50, bytes(40)))
    assert never(ether(udp(53, bytes(20))))[0]
    ok, words = never(esp, esp, inside=("hq-inet:hub",))
    assert not ok
    assert "cannot be proven" in words
    assert "2 frames at hq-inet:internet could not be read (ESP)" in words
    assert "watch where they are in clear, for example link: hq-inet:hub" in words
    ok, words = never(ether(bytes(60), 0x88E5))
    assert (ok, "(MACsec)" in words) == (False, True)
    ok, words = never(dropped=3)
    assert (ok, "the capture missed 3 frames" in words) == (False, True)
    ok, words = never(ether(ipv4(4, udp(20002, TOKEN + b"\0\1"))))
    assert (ok, "1 answers inside other packets at hq-inet:internet" in words) == (False, True)


def test_the_way_out_names_the_tunnels_of_the_lab() -> None:
    model = load(TOPOLOGIES / "vpn-backup.edge.yml")
    tunnels = {f"{vrf.namespace}:{one.name}" for r in model.routers for vrf in r.vrfs for one in vrf.tunnels}
    assert tunnels
    assert set(readable_places(model, (), ["ESP"])) == tunnels
    assert readable_places(model, (), ["MACsec"]) == ()


@pytest.fixture(scope="module")
def contoso() -> LabModel:
    return load(TOPOLOGIES / "contoso.edge.yml")


def down(model: LabModel, silent_sides: set[str]) -> tuple[bool, str]:
    spaces = {end.namespace: end.side in silent_sides for end in model.peering_ends}
    states = [
        SessionState(router.name, vrf.namespace, one, None, "gone", silent=spaces[vrf.namespace])
        for router in model.routers
        for vrf in router.vrfs
        if vrf.namespace in spaces
        for one in vrf.sessions
    ]
    verdict = judge_sessions(SessionsCheck(state="down"), pair(model.peering_ends, states))
    return verdict.ok, verdict.words


def test_a_session_is_down_when_one_end_says_so_and_unknown_when_nobody_answers(contoso: LabModel) -> None:
    assert down(contoso, set())[0]
    assert down(contoso, {"customer"})[0], "the other end answers"
    ok, words = down(contoso, {"customer", "microsoft"})
    assert not ok
    assert words.startswith("0 of ")
    assert "is unknown, not proven to be down: nobody answers at ce1 and msee1-amsterdam" in words
    assert "up:" not in words


def test_a_server_that_fails_proves_no_absence_of_a_name() -> None:
    check = NameCheck("pc1", "teams.example", present=False)
    server = ip_address("192.0.2.53")
    assert judge_answer(check, server, Answer(3, ())).ok
    assert judge_answer(check, server, Answer(0, ())).ok
    for rcode in (2, 5):
        assert not judge_answer(check, server, Answer(rcode, ())).ok
