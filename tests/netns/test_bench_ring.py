"""Every way of the deploy benchmark makes the same ring, and one that does less is found out."""

from __future__ import annotations

import subprocess

import pytest

from edge.errors import EdgeError
from tests.bench import ring

pytestmark = pytest.mark.root


@pytest.mark.parametrize("way", [ring.by_objects, ring.by_ip, ring.by_ip_batch], ids=lambda way: way.__name__)
def test_a_way_makes_the_ring_that_was_asked_for(way: object) -> None:
    assert ring.sample(way, ring.ring(3)) > 0  # type: ignore[arg-type]


def test_a_way_that_forgets_an_address_is_found_out() -> None:
    def forgetful(wanted: ring.Ring) -> None:
        ring.by_ip_batch(wanted)
        subprocess.run(["ip", "-n", "n0", "address", "flush", "dev", "left"], check=True)

    with pytest.raises(EdgeError, match="forgetful: made another lab than asked for"):
        ring.sample(forgetful, ring.ring(3))


def test_a_way_that_fails_says_why() -> None:
    def broken(wanted: ring.Ring) -> None:
        subprocess.run(["ip", "netns", "add", "n/0"], check=True, stderr=subprocess.DEVNULL)

    with pytest.raises(EdgeError, match=r"broken: .*ip.*non-zero exit status"):
        ring.sample(broken, ring.ring(2))
