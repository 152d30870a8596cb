"""Queues of ports on the real kernel: made, read back, changed in place, put right."""

from __future__ import annotations

import re
import socket
from dataclasses import dataclass, replace

import pytest
from net_helpers import create_all, delete_all, reconcile

from edge.net.disciplines import requests
from edge.net.kernel import Kernel
from edge.net.objects.base import Endpoint, KernelObject
from edge.net.objects.changes import Change
from edge.net.objects.devices import AdminUp, Namespace, Veth
from edge.net.objects.frames import TREES_MAX, Queues, QueueTree
from edge.net.queue_support import probe
from edge.qos.model import CLASSES, TrafficClass
from tests.waiting import wait_until

pytestmark = [pytest.mark.root, pytest.mark.kernels("here", "stock")]

PORT = Endpoint("ce", "xe0")
FAR = Endpoint("pe", "xe0")
WIRE = Veth(PORT, FAR, 1508, "02:00:00:00:00:01", "02:00:00:00:00:02")
TREES = (QueueTree(0, 49_500_000, CLASSES), QueueTree(3, 200_000_000, CLASSES))
QUEUES = Queues(PORT, TREES)


def lab(queues: Queues | None = QUEUES) -> list[KernelObject]:
    own = [queues] if queues is not None else []
    return [Namespace("ce"), Namespace("pe"), WIRE, *own, AdminUp(PORT), AdminUp(FAR)]


def tc(sandbox, *words: str) -> str:
    output: str = sandbox.run("tc", "-n", "ce", "-s", "-d", *words)
    return output


@dataclass(frozen=True)
class Seen:
    """A class as `tc` tells it; iproute2 of Debian 12 writes no JSON for classes."""

    parent: str
    prio: int
    rate: str
    ceil: str
    overhead: int
    packets: int


CLASS = re.compile(
    r"class htb (1:\w+) (?:parent )?(\S+) .*?(?:prio (\d+) .*?)?rate (\S+) overhead (\d+) ceil (\S+).*?\n"
    r" Sent \d+ bytes (\d+) pkt"
)


def classes(sandbox) -> dict[str, Seen]:
    return {
        handle: Seen(parent, int(prio or 0), rate, ceil, int(overhead), int(packets))
        for handle, parent, prio, rate, overhead, ceil, packets in CLASS.findall(
            tc(sandbox, "class", "show", "dev", "xe0")
        )
    }


@pytest.mark.shows("queues of classes (HTB)", here="any", stock="any")
def test_queues_are_found_as_they_were_made(kernel: Kernel, sandbox) -> None:
    create_all(kernel, lab())
    assert QUEUES in kernel.found(lab())
    seen = classes(sandbox)
    assert seen.keys() == {"1:e", *(f"1:{n}" for n in "f12345"), "1:3f", *(f"1:3{n}" for n in "12345")}
    voice, video = seen["1:31"], seen["1:32"]
    assert (voice.prio, voice.rate, voice.ceil) == (0, "60Mbit", "60Mbit")
    assert (video.prio, video.rate, video.ceil) == (1, "60Mbit", "200Mbit")
    assert voice.parent == "1:3f"
    assert {item.overhead for item in seen.values()} == {4}


@pytest.mark.kernels("stock")
@pytest.mark.shows("fq_codel at the ends of classes", stock="any")
def test_a_kernel_that_has_fq_codel_has_it_at_the_ends_of_classes(kernel: Kernel, sandbox) -> None:
    create_all(kernel, lab())
    shown = tc(sandbox, "qdisc", "show", "dev", "xe0")
    assert set(re.findall(r"qdisc fq_codel \w+: parent (1:\w+)", shown)) == {
        f"1:{tree}{queue}" for tree in ("", "3") for queue in range(2, 6)
    }


def test_the_ends_of_classes_are_the_best_queues_of_this_kernel(kernel: Kernel, sandbox) -> None:
    create_all(kernel, lab())
    seen = re.findall(r"qdisc (\w+) \w+: parent (1:\w+)", tc(sandbox, "qdisc", "show", "dev", "xe0"))
    kinds = {parent: kind for kind, parent in seen}
    assert kinds.pop("1:1") == kinds.pop("1:31") == kinds.pop("1:e") == "bfifo"
    assert set(kinds.values()) == {probe().leaves}


def test_a_changed_bandwidth_leaves_queues_and_counters_where_they_are(kernel: Kernel, sandbox) -> None:
    create_all(kernel, lab())
    send(kernel, sandbox, 0x10002, 5)
    wait_until(lambda: classes(sandbox)["1:2"].packets == 5, "5 frames in class 1:2")
    faster = replace(QUEUES, trees=(replace(TREES[0], rate_bps=99_000_000), TREES[1]))

    assert kernel.apply([Change(QUEUES, faster)]) == [None]

    assert faster in kernel.found(lab(faster))
    assert classes(sandbox)["1:2"].rate == "29700Kbit"
    assert classes(sandbox)["1:2"].packets == 5


def send(kernel: Kernel, sandbox, priority: int, count: int) -> None:
    # Until the kernel has seen the carrier, it throws away what is sent.
    wait_until(
        lambda: sandbox.ip_json("-n", "ce", "link", "show", "xe0")[0]["operstate"] == "UP", "the link is up"
    )
    with kernel.socket("ce", socket.AF_PACKET, socket.SOCK_RAW) as sender:
        sender.setsockopt(socket.SOL_SOCKET, socket.SO_PRIORITY, priority)
        sender.bind(("xe0", 0x0800))
        for _ in range(count):
            sender.send(bytes.fromhex("020000000002020000000001") + b"\x08\x00" + bytes(100))


@pytest.mark.parametrize(
    ("priority", "handle"), [(0x10001, "1:1"), (0x10032, "1:32"), (0, "1:e"), (6, "1:e"), (0x10077, "1:e")]
)
def test_the_priority_of_a_frame_names_its_class(kernel: Kernel, sandbox, priority: int, handle: str) -> None:
    create_all(kernel, lab())
    before = classes(sandbox)[handle].packets
    send(kernel, sandbox, priority, 3)
    wait_until(lambda: classes(sandbox)[handle].packets >= before + 3, f"3 frames in class {handle}")


def test_a_port_has_queues_for_many_circuits(kernel: Kernel, sandbox) -> None:
    many = Queues(
        PORT, tuple(QueueTree(number, 200_000_000, CLASSES) for number in (*range(40), TREES_MAX - 1))
    )
    create_all(kernel, lab(many))
    assert many in kernel.found(lab(many))
    for number in (16, 39, TREES_MAX - 1):
        minor = 16 * number + 2
        send(kernel, sandbox, 0x10000 + minor, 3)
        wait_until(lambda m=minor: classes(sandbox)[f"1:{m:x}"].packets == 3, "3 frames in its video queue")
    changed = replace(many, trees=(*many.trees[:20], *many.trees[21:]))
    assert kernel.apply([Change(many, changed)]) == [None]
    assert changed in kernel.found(lab(changed))
    assert classes(sandbox)["1:ff2"].packets == 3


OTHERS = (
    ("a share", (replace(TREES[0], classes=(*CLASSES[:4], replace(CLASSES[4], share=10))), TREES[1])),
    ("no longer strict", (replace(TREES[0], classes=(replace(CLASSES[0], strict=False), *CLASSES[1:])),)),
    ("a class more", (TREES[0], replace(TREES[1], classes=(*CLASSES, TrafficClass("scavenger", 5, 1))))),
    ("a class less", (replace(TREES[0], classes=CLASSES[:4]), TREES[1])),
    ("a circuit less", (TREES[1],)),
    ("the first circuit gone", (replace(TREES[1], number=1),)),
    ("a circuit more", (*TREES, QueueTree(15, 10_000_000_000, CLASSES))),
    ("very fast", (QueueTree(0, 100_000_000_000, CLASSES), TREES[1])),
)


@pytest.mark.parametrize("trees", [item[1] for item in OTHERS], ids=[item[0] for item in OTHERS])
def test_any_change_is_made_in_place(kernel: Kernel, sandbox, trees: tuple[QueueTree, ...]) -> None:
    create_all(kernel, lab())
    send(kernel, sandbox, 0, 2)
    wait_until(lambda: classes(sandbox)["1:e"].packets >= 2, "2 frames in class 1:e")
    after = Queues(PORT, trees)

    assert kernel.apply([Change(QUEUES, after)]) == [None]

    assert after in kernel.found(lab(after))
    assert classes(sandbox)["1:e"].packets >= 2
    assert kernel.apply([Change(after, QUEUES)]) == [None]
    assert QUEUES in kernel.found(lab())


VANDALISM = (
    ("a rate", ("class", "change", "dev", "xe0", "parent", "1:f", "classid", "1:2", "htb", "rate", "1mbit")),
    ("a leaf", ("qdisc", "replace", "dev", "xe0", "parent", "1:2", "handle", "77:", "pfifo", "limit", "1")),
    ("a limit", ("qdisc", "change", "dev", "xe0", "parent", "1:1", "handle", "1001:", "bfifo", "limit", "9")),
    (
        "a class more",
        ("class", "add", "dev", "xe0", "parent", "1:f", "classid", "1:a", "htb", "rate", "1mbit"),
    ),
    ("a class less", ("class", "del", "dev", "xe0", "classid", "1:3")),
    ("all gone", ("qdisc", "del", "dev", "xe0", "root")),
    ("another root", ("qdisc", "replace", "dev", "xe0", "root", "handle", "8:", "pfifo")),
    ("another HTB", ("qdisc", "replace", "dev", "xe0", "root", "handle", "2:", "htb", "default", "1")),
)


@pytest.mark.parametrize("words", [item[1] for item in VANDALISM], ids=[item[0] for item in VANDALISM])
def test_drift_of_queues_is_seen_and_put_right(kernel: Kernel, sandbox, words: tuple[str, ...]) -> None:
    create_all(kernel, lab())

    sandbox.run("tc", "-n", "ce", *words)

    assert QUEUES not in kernel.found(lab())
    assert [error for error in reconcile(kernel, lab()) if error is not None] == []
    assert kernel.found(lab()) == set(lab())


def test_queues_no_longer_wanted_are_found_and_taken_away(kernel: Kernel, sandbox) -> None:
    create_all(kernel, lab())
    (left,) = (item for item in kernel.found(lab(None)) if isinstance(item, Queues))
    assert left.key == QUEUES.key
    delete_all(kernel, [left])
    assert not [item for item in kernel.found(lab(None)) if isinstance(item, Queues)]
    assert kernel.apply([Change(QUEUES, None)]) == [None]


def test_an_operators_own_queues_are_left_alone(kernel: Kernel, sandbox) -> None:
    create_all(kernel, lab(None))
    sandbox.run("tc", "-n", "ce", "qdisc", "add", "dev", "xe0", "root", "handle", "7:", "htb", "default", "1")
    assert kernel.found(lab(None)) == set(lab(None))


def test_nothing_is_sent_when_nothing_changes() -> None:
    assert requests(7, QUEUES, QUEUES, "bfifo") == []
