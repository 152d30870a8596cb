"""What iperf3's JSON is made of: by what iperf3 3.12 said through a lab, and an older one's single sum."""

from __future__ import annotations

import copy
import io
from typing import Any

import pytest

from edge.console import show
from edge.errors import EdgeError, UsageError
from lab.report.calls import load_table, load_words
from lab.traffic.iperf import LoadWanted, client_words, result, server_words

TCP = LoadWanted("pc1", "vm1", 2)
UDP = LoadWanted("pc1", "vm1", 2, "udp", 300_000_000, parallel=2)


def interval(start: float, seconds: float, bps: float, **more: Any) -> dict[str, Any]:
    return {
        "sum": {"start": start, "end": start + seconds, "seconds": seconds, "bits_per_second": bps, **more}
    }


def tcp() -> tuple[dict[str, Any], dict[str, Any]]:
    client = {
        "intervals": [interval(0, 1, 221e6, retransmits=14), interval(1.0001, 1, 192e6, retransmits=0)],
        "end": {
            "sum_sent": {"seconds": 2.0, "bits_per_second": 206.7e6, "retransmits": 14},
            "sum_received": {"seconds": 2.0, "bits_per_second": 190.5e6},
        },
    }
    server = {
        "intervals": [interval(0, 1, 193e6), interval(1.00008, 1, 187e6), interval(2.0, 0.0002, 140e6)],
        "end": {"sum_received": {"seconds": 2.0002, "bits_per_second": 190.5e6}},
    }
    return client, server


def udp(one_sum: bool = False) -> tuple[dict[str, Any], dict[str, Any]]:
    sent = {"seconds": 2.0, "bits_per_second": 300e6, "packets": 41532, "lost_packets": 0, "jitter_ms": 0}
    got = {
        "seconds": 2.0,
        "bits_per_second": 187.8e6,
        "packets": 41000,
        "lost_packets": 9000,
        "jitter_ms": 0.0441,
    }
    seconds = [interval(0, 1, 190e6, lost_packets=3000), interval(1, 1, 185e6, lost_packets=6000)]
    name = "sum" if one_sum else None
    return (
        {"intervals": [interval(0, 1, 3e8), interval(1, 1, 3e8)], "end": {name or "sum_sent": sent}},
        {"intervals": seconds, "end": {name or "sum_received": got}},
    )


def test_tcp_has_what_was_sent_again_by_the_sender_and_rates_by_the_receiver() -> None:
    found = result("contoso", TCP, *tcp())
    assert (found.retransmits, found.packets, found.lost, found.loss_percent) == (14, None, None, None)
    assert (found.received_bps, found.sent_bps) == (190.5e6, 206.7e6)
    assert [(item.received_bps, item.retransmits, item.lost) for item in found.each] == [
        (193e6, 14, None),
        (187e6, 0, None),
    ]
    assert load_words(found).endswith("14 segments sent again")


@pytest.mark.parametrize("one_sum", [False, True])
def test_udp_counts_as_lost_what_did_not_arrive_the_end_included(one_sum: bool) -> None:
    found = result("contoso", UDP, *udp(one_sum))
    assert (found.packets, found.lost, found.jitter_ms) == (41532, 41532 - 32000, 0.044)
    assert found.loss_percent == pytest.approx(22.95, abs=0.01)
    assert [item.lost for item in found.each] == [3000, 6000]
    data = found.to_json()
    assert (data["version"], data["lost"], data["retransmits"], len(data["each"])) == (1, 9532, None, 2)


def test_the_other_way_round_the_server_is_the_sender() -> None:
    client, server = tcp()
    found = result("contoso", LoadWanted("pc1", "vm1", 2, reverse=True), server, client)
    assert (found.retransmits, found.received_bps) == (14, 190.5e6)
    assert load_words(found).startswith("vm1 -> pc1, TCP: 190.5 Mbit/s arrived, 206.7 sent")
    written = io.StringIO()
    show(load_table(found), stream=written)
    assert written.getvalue().splitlines()[1].split() == ["0", "s", "193.0", "Mbit/s", "14"]


def test_errors_of_either_end_are_told() -> None:
    client, server = tcp()
    with pytest.raises(EdgeError, match="the client says: unable to connect"):
        result("contoso", TCP, {**client, "error": "unable to connect"}, server)
    with pytest.raises(EdgeError, match="the server says: gone"):
        result("contoso", TCP, client, {**server, "error": "gone"})
    broken = copy.deepcopy(client)
    del broken["end"]
    with pytest.raises(EdgeError, match="says something else than it used to: KeyError"):
        result("contoso", TCP, broken, server)


def test_command_lines_say_what_was_asked() -> None:
    assert server_words(5201, TCP) == ("iperf3", "--server", "--one-off", "--json", "--port", "5201", "-4")
    words = " ".join(client_words("10.50.1.4", 5202, UDP))
    assert "--client 10.50.1.4 --port 5202 -4 --json" in words
    assert words.endswith("--time 2 --parallel 2 --udp --length 1200 --bitrate 150000000")
    assert "--reverse" in client_words("::1", 1, LoadWanted("a", "b", reverse=True, family=6))


@pytest.mark.parametrize(("seconds", "either"), [(2.5, "2s or 3s"), (1.0001, "1s or 2s"), (0.2, "give 1s")])
def test_a_time_that_iperf3_cannot_be_told_is_refused_and_not_rounded(seconds: float, either: str) -> None:
    with pytest.raises(UsageError, match=either):
        client_words("10.50.1.4", 5201, LoadWanted("pc1", "vm1", seconds))


def test_whole_seconds_are_told_as_they_are() -> None:
    words = client_words("10.50.1.4", 5201, LoadWanted("pc1", "vm1", 120.0))
    assert words[words.index("--time") + 1] == "120"
