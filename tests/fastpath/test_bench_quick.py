"""Each benchmark of the fast path runs in its quick mode and gives every row, whatever the numbers."""

from __future__ import annotations

import shutil
import struct
from collections.abc import Sequence
from pathlib import Path

import pytest

from edge.errors import EdgeError
from tests import oracle
from tests.bench import classify, forward, pcap
from tests.bench.policies import TWELVE, large
from tests.bench.report import Row
from tests.bench.traffic import MIXED_SLOT, V4_SLOT, mixed, v4


def need(program: str) -> None:
    if shutil.which(program) is None:
        pytest.skip(f"no {program}: apt-get install {program} libbpf-dev")


def check(rows: Sequence[Row], *names: str) -> None:
    """Each name begins some row; every row was taken, and its rival too, or a note tells what is missing."""
    for name in names:
        assert any(row.name.startswith(name) for row in rows), name
    for row in rows:
        assert (row.ours is not None and row.ours == row.ours) or row.note, row
        assert row.rival is None or row.rival != 0
        assert row.rival is not None or " against " not in row.name or row.note, row


def test_classify_has_every_lane_layout_and_rival() -> None:
    rows = classify.run(quick=True)
    check(
        rows,
        *(
            f"{verb} {packets} {layout}"
            for verb in ("classify", "mark")
            for packets in ("v4", "mixed")
            for layout in ("in cache", "2 MB in order", "2 MB at random")
        ),
        "classify v4 in cache, 100 rules against 12",
        "mark mixed in cache, 500 rules against 12",
        "classify v4 at 500 sites in cache, 500 rules against 12",
        "classify v4 in cache against rte_acl",
        "classify v4 in cache against nDPI",
        "classify v4 in cache against dpkt",
        "classify v4 in cache against scapy",
    )
    bounds = {row.name: (row.limit, row.moonshot) for row in rows if row.limit or row.moonshot}
    assert bounds["classify v4 in cache, avx2"] == (5.0, None)
    assert bounds["classify v4 2 MB in order, avx2"] == (1.3, 1.15)
    assert bounds["classify mixed 2 MB at random, avx2"] == (None, 1.5)
    assert bounds["mark v4 in cache, avx2"] == (None, 9.0)
    assert bounds["classify v4 in cache, 500 rules against 12"] == (None, 2.0)


@pytest.mark.root
def test_forward_has_every_way_and_the_same_dscps_behind_each() -> None:
    need("clang-14")
    rows = forward.run(quick=True)
    rivals = ("clsact", "nft", "iptables-legacy", "iptables-nft")
    check(rows, "forward 64 octets", *(f"added by ours at tcx against {way}" for way in rivals))


def test_pcap_has_every_rival_on_memory_and_on_disk() -> None:
    rows = pcap.run(quick=True)
    check(
        rows,
        *(f"edge mark on {where} against {rival}" for where in ("tmpfs", "disk") for rival in pcap.RIVALS),
    )


def test_a_lane_that_judges_otherwise_is_found_out(tmp_path: Path) -> None:
    packets = v4(4)
    bench = classify._Bench.__new__(classify._Bench)
    bench.packets = {"v4": packets}
    numbers = [oracle.verdict(packet, TWELVE, "out", "mark")[0].rule for packet in packets]
    outcomes = tmp_path / "outcomes"
    outcomes.write_bytes(b"".join(struct.pack("=H", 0xFFFF if n is None else n) for n in numbers))
    bench.compare(TWELVE, "v4", outcomes)
    outcomes.write_bytes(struct.pack("=H", 11 if numbers[0] != 11 else 0))
    with pytest.raises(EdgeError, match="packet 0 of v4: rule"):
        bench.compare(TWELVE, "v4", outcomes)


def test_the_traffic_is_what_the_rows_say() -> None:
    assert max(map(len, v4())) <= V4_SLOT
    assert max(map(len, mixed())) <= MIXED_SLOT
    hits = sum(oracle.verdict(packet, TWELVE, "out", "mark")[0].rule is not None for packet in v4(1000))
    assert 700 <= hits <= 850
    kinds = [oracle.network_layer(packet) for packet in mixed()]
    share = {kind: kinds.count(kind) / len(kinds) for kind in set(kinds)}
    assert share[0x86DD, 14] == pytest.approx(0.20, abs=0.02)
    assert share[0x0800, 22] == pytest.approx(0.09, abs=0.02)


def test_large_policies_hold_the_twelve_rules_behind_others_with_prefixes() -> None:
    policy = large(500)
    assert len(policy.rules) == 500
    assert policy.rules[-12:] == TWELVE.rules
    assert all(rule.source or rule.destination for rule in policy.rules[:-12])


def test_the_rivals_get_the_same_rules() -> None:
    assert classify.acl_lines(TWELVE, 10) == ["17 255 0 0 879755264 14 0 65535 3478 3478"]
    assert "udp sport 50000-50019 ip dscp set 46 accept" in forward.nft_rules(TWELVE)
    lines = forward.iptables_rules(TWELVE).splitlines()
    assert lines[1] == "-A FORWARD -s 10.1.0.0/16 -d 10.20.0.0/16 -j DSCP --set-dscp 10", "the last one wins"
    assert len(lines) == len(TWELVE.rules) + 2
