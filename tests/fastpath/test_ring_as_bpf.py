"""What the tag plane promises, promised by the ring engine: the tests of the BPF programs, once more.

A subinterface beside its port is a veth here, whose inner end is in the same namespace.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .conftest import Bench
from .ring_bench import ring_bench
from .test_circuits import (  # noqa: F401 - collected here with this module's plane
    test_a_circuit_that_gives_its_policer_up_leaves_it_to_the_others,
    test_a_circuit_translates_the_outermost_tags_and_back,
    test_a_tolerance_lets_pass_what_is_little_more_than_the_rate_and_clamps_what_is_much_more,
    test_ends_of_a_peering_talk_through_a_provider,
    test_peerings_that_name_one_policer_share_its_bucket_and_count_apart,
    test_tags_change_in_place_and_ports_do_not,
    test_tcp_with_gso_gets_through_a_policer_no_faster_than_its_rate,
    test_the_more_specific_circuit_wins,
)
from .test_subinterfaces import (  # noqa: F401 - collected here with this module's plane
    test_a_1500_octet_packet_passes_inside_two_tags,
    test_a_frame_for_another_mac_is_not_accepted_by_a_vrf,
    test_a_tcp_stream_with_gso_passes_two_tags_and_is_counted_as_segments,
    test_the_calling_thread_stays_in_its_namespace,
    test_two_vrfs_with_equal_addresses_stay_apart,
    test_unknown_tags_and_untagged_frames_are_dropped_and_remembered,
)

pytestmark = [pytest.mark.root, pytest.mark.kernels("here", "stock")]


@pytest.fixture
def bench() -> Iterator[Bench]:
    """An engine of the test's own."""
    with ring_bench() as made:
        yield made
