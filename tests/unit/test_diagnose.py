from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from edge.bgp.state import ChannelState, ProtocolState
from edge.net.objects.base import Endpoint
from lab.checks.sessions import judge_sessions, pair
from lab.diagnose import why_not_established
from lab.model import LabModel, SessionsCheck
from lab.sessions import SessionState
from tests.netns.labworld import MSEE, model

MODEL = model()
CUSTOMER, MICROSOFT = MODEL.peering_ends
SESSION = MODEL.routers[0].vrfs[0].sessions[0]
ACTIVE = ProtocolState(
    name="microsoft_x",
    proto="BGP",
    table="---",
    state="start",
    since=None,
    uptime_s=1.0,
    info="Active",
    bgp_state="Active",
    neighbor=SESSION.neighbor,
    interface="ams1.100",
)


def why(status: dict[str, Any], lab: LabModel = MODEL, **changes: Any) -> str:
    state = SessionState("ce1", "ce1", SESSION, replace(ACTIVE, **changes))
    return why_not_established(lab, state, CUSTOMER, status)


def unresolved(state: str = "FAILED") -> dict[str, Any]:
    entry = {"address": "192.168.15.2", "device": "ams1.100", "mac": "", "state": state}
    return {"neighbors": {"ce1": [entry]}}


def test_an_established_session_needs_no_reason() -> None:
    assert why({}, bgp_state="Established", state="up") == ""


def test_a_link_without_carrier_explains_before_all_else() -> None:
    status = {**unresolved(), "links": {"ce1:ams1.100": {"up": True, "carrier": False}}}
    assert why(status) == "ce1:ams1.100 has no carrier: look at the link and at its other end"
    shut = {"links": {"ce1:ams1.100": {"up": False, "carrier": False}}}
    assert why(shut) == "ce1:ams1.100 is shut down: bring it up"


def test_a_neighbour_that_does_not_answer_arp_is_named() -> None:
    assert why(unresolved("incomplete")).startswith("192.168.15.2 does not answer ARP on ce1:ams1.100: check")
    assert "ARP" not in why(unresolved("REACHABLE"))


def stray(port: str, *vids: int) -> dict[str, Any]:
    tags = [{"tpid": "0x8100", "vid": vid} for vid in vids]
    return {
        **unresolved(),
        "tag_counters": {"ports": [{"port": port, "unknown": [{"tags": tags, "packets": 12}]}]},
    }


def test_a_wrong_tag_is_told_by_what_the_other_end_dropped() -> None:
    assert why(stray("msee1:trunk", 3, 101)) == (
        "192.168.15.2 does not answer ARP on ce1:ams1.100; "
        "msee1 dropped 12 frames tagged 3/101 that no peering uses: check the VLAN ids of ce1"
    )


def test_what_others_dropped_says_more_than_what_we_dropped() -> None:
    status = stray("msee1:trunk", 3, 101)
    status["tag_counters"]["ports"] += stray("ce1:ams1", 3, 100)["tag_counters"]["ports"]
    assert "ce1 dropped" not in why(status)
    assert "ce1 dropped 12 frames tagged 3/100" in why(stray("ce1:ams1", 3, 100))
    microsoft = MODEL.routers[1].vrfs[0].sessions[0]
    entry = {"address": "192.168.15.1", "device": "ams.100", "mac": "", "state": "failed"}
    state = SessionState("msee1", MSEE, microsoft, ACTIVE)
    text = why_not_established(MODEL, state, MICROSOFT, {**status, "neighbors": {MSEE: [entry]}})
    assert text.endswith(
        "; ce1 dropped 12 frames tagged 3/100 that no peering uses: check the VLAN ids of ce1"
    )


def test_tags_dropped_elsewhere_or_unlike_ours_explain_nothing() -> None:
    assert "dropped" not in why(stray("msee9:trunk", 3, 101))
    assert "dropped" not in why(stray("msee1:trunk", 7, 8))


def test_tags_dropped_at_the_providers_end_of_the_wire_count_too() -> None:
    link = replace(MODEL.links[1], b=Endpoint("fabric", "ams1"))
    lab = replace(MODEL, links=(link,))
    assert "fabric:ams1 dropped 12 frames tagged 4/100" in why(stray("fabric:ams1", 4, 100), lab)


def test_a_tunnel_without_keys_explains_why_nobody_answers_in_it() -> None:
    def tunnel(device: str, *, established: bool) -> dict[str, Any]:
        keys = {"remote": "192.0.2.2", "established": established, "trouble": "the other end does not answer"}
        return {**unresolved(), "ike": {"ce1": {device: keys}}}

    assert why(tunnel("ams1.100", established=False)).startswith(
        "no IPsec keys with 192.0.2.2: the other end does not answer"
    )
    assert "IPsec" not in why(tunnel("ams1.100", established=True))
    assert "IPsec" not in why(tunnel("ams2.100", established=False))


def test_refused_signatures_at_microsofts_end_mean_different_keys() -> None:
    assert "shared keys" in why({"md5_failures": {MSEE: 9, "ce1": 0}})
    assert "shared keys" in why({"md5_failures": {MSEE: 9}}, last_error="Socket: Connection timed out")


@pytest.mark.parametrize(
    ("status", "error"),
    [
        ({MSEE: 0, "ce1": 5}, ""),
        ({MSEE: 9}, "BGP Error: Hold timer expired"),
        ({MSEE: 9}, "BFD session down"),
    ],
)
def test_old_refused_signatures_do_not_hide_a_better_reason(status: dict[str, int], error: str) -> None:
    assert "shared keys" not in why({"md5_failures": status}, last_error=error)


def test_a_prefix_limit_is_the_reason_whatever_else_is_wrong() -> None:
    channel = ChannelState("ipv4", "DOWN", "master4", limit=4000)
    text = why(unresolved(), info="Idle Route limit exceeded", channels=(channel,))
    assert text.startswith("192.168.15.2 sent more than 4000 prefixes")


def states(established: set[tuple[str, int]], lab: LabModel = MODEL) -> tuple[SessionState, ...]:
    return tuple(
        SessionState(
            router.name,
            vrf.namespace,
            session,
            replace(
                ACTIVE,
                bgp_state="Established" if (router.name, session.family) in established else "Active",
            ),
        )
        for router in lab.routers
        for vrf in router.vrfs
        for session in vrf.sessions
    )


ALL = {(node, family) for node in ("ce1", "msee1") for family in (4, 6)}


def test_a_session_counts_as_up_only_when_both_ends_say_so() -> None:
    sessions = pair(MODEL.peering_ends, states(ALL - {("msee1", 6)}))
    verdict = judge_sessions(SessionsCheck(), sessions)
    assert not verdict.ok
    assert verdict.words == (
        "1 of 2 sessions established; ams/private primary IPv6 msee1 -> fd00:15::1 is Active"
    )
    down = judge_sessions(SessionsCheck(state="down"), sessions)
    assert down.words == (
        "0 of 2 sessions down; up: ams/private primary IPv4 ce1 -> 192.168.15.2 is Established, "
        "ams/private primary IPv6 msee1 -> fd00:15::1 is Active"
    )


def test_a_peering_with_both_connections_down_is_named() -> None:
    second = tuple(
        replace(end, connection="secondary", namespace=f"{end.namespace}-b") for end in MODEL.peering_ends
    )
    found = states({("msee1", 4)})
    found += tuple(replace(state, namespace=f"{state.namespace}-b") for state in found)
    only4 = tuple(state for state in found if state.session.family == 4)
    verdict = judge_sessions(SessionsCheck(), pair((*MODEL.peering_ends, *second), only4))
    assert verdict.words.endswith("; both sessions of ams/private are down: circuit ams has no private path")
    one_up = (*only4[2:], *(replace(s, found=replace(ACTIVE, bgp_state="Established")) for s in only4[:2]))
    assert (
        "no private path"
        not in judge_sessions(SessionsCheck(), pair((*MODEL.peering_ends, *second), one_up)).words
    )
