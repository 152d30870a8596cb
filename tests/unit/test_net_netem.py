"""netem as netlink octets: what we ask for is what we read back, and what iproute2 makes of it."""

from __future__ import annotations

import struct

from hypothesis import given
from hypothesis import strategies as st

from edge.net import messages as nl
from edge.net import netem
from edge.net.objects.base import Endpoint
from edge.net.objects.frames import Impairment

PPM = st.integers(0, 1_000_000)
WANTED = st.builds(
    Impairment,
    at=st.just(Endpoint("a", "b")),
    seed=st.integers(0, 2**63 - 1),
    delay_ns=st.integers(0, 60 * 10**9),
    jitter_ns=st.integers(0, 60 * 10**9),
    loss_ppm=PPM,
    duplicate_ppm=PPM,
    reorder_ppm=PPM,
    rate_bps=st.one_of(st.none(), st.integers(1, 50 * 10**9).map(lambda octets: octets * 8)),
    by=st.just("netem"),
)


@given(WANTED, st.integers(1, 2**31 - 1))
def test_what_is_asked_for_is_read_back(wanted: Impairment, index: int) -> None:
    request = netem.put(index, wanted)
    assert request.kind == nl.RTM_NEWQDISC
    found = netem.parse(request.payload)
    assert found is not None
    assert found.index == index
    names = ("delay_ns", "jitter_ns", "loss_ppm", "duplicate_ppm", "reorder_ppm", "rate_bps", "seed")
    assert {n: getattr(found, n) for n in names} == {n: getattr(wanted, n) for n in names}


def test_all_frames_are_lost_with_certainty() -> None:
    payload = netem.put(5, Impairment(Endpoint("a", "b"), 0, loss_ppm=1_000_000, by="netem")).payload
    options = nl.attributes(payload, 20)[nl.TCA_OPTIONS]
    assert struct.unpack_from("=6I", options)[2] == 0xFFFFFFFF


def test_other_queues_and_queues_below_others_are_no_netem() -> None:
    payload = netem.put(5, Impairment(Endpoint("a", "b"), 0, by="netem")).payload
    assert netem.parse(payload.replace(b"netem", b"pfifo")) is None
    below = payload[:12] + struct.pack("=I", 0x10001) + payload[16:]
    assert netem.parse(below) is None


def test_only_a_queue_that_somebody_gave_the_device_is_in_the_way() -> None:
    def queue(kind: str, handle: int, parent: int = nl.TC_H_ROOT, index: int = 5) -> bytes:
        return struct.pack("=BxxxiIII", 0, index, handle, parent, 0) + nl.text(nl.TCA_KIND, kind)

    assert netem.in_the_way(queue("htb", 0x10000), 5) == "htb"
    assert netem.in_the_way(queue("noqueue", 0), 5) == ""
    assert netem.in_the_way(queue("netem", 0x80010000), 5) == ""
    assert netem.in_the_way(queue("fq_codel", 0x80010000, parent=0x10001), 5) == ""
    assert netem.in_the_way(queue("htb", 0x10000, index=6), 5) == ""
