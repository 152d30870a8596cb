"""`fault --for` when another fault keeps it past its time: healed after that one, tried again, never lost.

The requests are the supervisor's own, over a world whose kernel is a set of objects in memory.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from fault_worlds import CONTOSO, GIVES_UP, LOSS, TAKES

from edge.errors import EdgeError
from edge.net.objects.base import KernelObject
from edge.net.objects.changes import Change
from lab.compile import compile_lab
from lab.events import EventBus
from lab.faults import serving
from lab.faults.serving import HEAL_TRIES, fault, heal
from lab.model import LabModel
from lab.plan import Plan, diff
from lab.protocol import Channel
from lab.topology import load
from tests.waiting import wait_until

PATIENCE_S = 30.0


class Kernel:
    """A world that holds what it was told. plan_fails, apply_fails: how often that is still refused."""

    def __init__(self, model: LabModel) -> None:
        self.model: LabModel = model
        self.held = {item.key: item for item in compile_lab(model, "bpf")}
        self.plan_fails = self.apply_fails = 0
        self.daemons = self

    def pids(self) -> dict[str, list[int]]:
        return {}

    def plan(self, model: LabModel) -> Plan:
        if self.plan_fails:
            self.plan_fails -= 1
            raise EdgeError("the kernel cannot be read")
        return diff(compile_lab(model, "bpf"), self.held.values())

    def apply(self, changes: Sequence[Change]) -> list[EdgeError | None]:
        if self.apply_fails:
            self.apply_fails -= 1
            return [EdgeError("the kernel says no") for _ in changes]
        for change in changes:
            if change.after is None:
                del self.held[change.subject.key]
            else:
                self.held[change.subject.key] = change.after
        return [None for _ in changes]

    def holds(self, model: LabModel) -> bool:
        wanted: dict[Any, KernelObject] = {item.key: item for item in compile_lab(model, "bpf")}
        return self.held == wanted


def answer(client: Channel) -> dict[str, Any]:
    """What comes after the steps."""
    while True:
        told, _ = client.receive()
        if "step" not in told:
            return told


class Supervised:
    """A lab with process 1 in this process. told: its log."""

    name = "contoso"

    def __init__(self, model: LabModel) -> None:
        self.world = Kernel(model)
        self.well = model
        self.bus = EventBus()
        self.apply_lock = threading.Lock()
        self.stopping = False
        self.told: list[str] = []
        self.ended: list[EdgeError | None] = []
        self.clients: list[socket.socket] = []
        self.servers: list[threading.Thread] = []
        self.directory = self

    def report(self, text: str) -> None:
        self.told.append(text)

    def rewatch(self) -> None:
        pass

    def applied(self, model: LabModel) -> None:
        self.world.model = model

    def stop(self) -> None:
        self.stopping = True
        self.bus.close()
        for client in self.clients:
            client.close()

    @property
    def active(self) -> list[str]:
        return [one.fault.name for one in self.world.model.faults]

    def failures(self, why: str) -> int:
        return self.told.count(f"fault gives is not healed: {why}")

    def ask(self, request: Any, **fields: Any) -> dict[str, Any]:
        """A request of a client that waits for its answer."""
        ours, theirs = socket.socketpair()
        with ours, theirs:
            request(self, Channel(theirs), fields)
            return answer(Channel(ours))

    def hold(self, words: dict[str, Any]) -> Channel:
        """`fault --for 1h` of a client that waits; it is gone, and the time over, once this is closed."""
        ours, theirs = socket.socketpair()

        def serve() -> None:
            error: EdgeError | None = None
            with theirs:
                try:
                    fault(self, Channel(theirs), {**words, "for_s": 3600})  # type: ignore[arg-type]
                except EdgeError as reason:
                    error = reason
            self.ended.append(error)

        self.servers.append(threading.Thread(target=serve, daemon=True))
        self.servers[-1].start()
        self.clients.append(ours)
        client = Channel(ours)
        assert answer(client)["fault"]["name"] == words["name"]
        return client


@pytest.fixture(scope="module")
def contoso() -> LabModel:
    return load(CONTOSO)


@pytest.fixture
def lab(contoso: LabModel) -> Iterator[Supervised]:
    """Ends with no thread of the lab's left, whatever a test has found."""
    before = set(threading.enumerate())
    made = Supervised(contoso)
    yield made
    made.stop()
    for thread in set(threading.enumerate()) - before:
        thread.join(PATIENCE_S)
        assert not thread.is_alive()


@pytest.fixture
def kept(lab: Supervised) -> Supervised:
    """`gives`, whose time is over, is kept by `takes`."""
    client = lab.hold(GIVES_UP)
    lab.ask(fault, **TAKES)
    client.close()
    # Its thread too: those below tell by the number of threads whether anybody still waits.
    lab.servers[0].join(PATIENCE_S)
    assert not lab.servers[0].is_alive()
    assert lab.active == ["gives", "takes"]
    assert str(lab.ended[0]).endswith("edgelab heal contoso gives takes; else it is healed after that")
    assert lab.told[-1] == str(lab.ended[0])
    return lab


def asleep(lab: Supervised, monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Set when whoever waits for events has looked at all of them."""
    waits = threading.Event()
    real = lab.bus.wait

    def wait(seen: int, timeout_s: float) -> int:
        if seen == lab.bus.count:
            waits.set()
        return real(seen, timeout_s)

    monkeypatch.setattr(lab.bus, "wait", wait)
    return waits


def test_it_is_healed_when_the_other_one_is_and_the_kernel_is_as_before(kept: Supervised) -> None:
    assert not kept.world.holds(kept.well)
    kept.ask(heal, names=["takes"])
    wait_until(lambda: kept.active == [], "the first one goes after the second", PATIENCE_S)
    assert kept.world.holds(kept.well)
    assert [(one["name"], one["state"]) for one in kept.bus.history() if one["kind"] == "fault"] == [
        ("gives", "begins"),
        ("takes", "begins"),
        ("takes", "ends"),
        ("gives", "ends"),
    ]


def test_neither_events_nor_other_faults_heal_it_before(
    kept: Supervised, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits = asleep(kept, monkeypatch)
    kept.bus.publish("session", namespace="ce1", event="state", state="up")
    assert waits.wait(PATIENCE_S)
    kept.ask(fault, **LOSS)
    waits.clear()
    kept.bus.publish("lab", state="looked at")
    assert waits.wait(PATIENCE_S)
    kept.ask(heal, names=["lossy"])
    waits.clear()
    kept.bus.publish("lab", state="looked at")
    assert waits.wait(PATIENCE_S)
    assert kept.active == ["gives", "takes"]


@pytest.mark.parametrize(("where", "why"), [("plan", "cannot be read"), ("apply", "says no")])
def test_what_the_kernel_refuses_is_tried_again_without_anything_happening_meanwhile(
    where: str, why: str, kept: Supervised, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused_after(kept, where, HEAL_TRIES - 1, monkeypatch)
    kept.ask(heal, names=["takes"])
    wait_until(lambda: kept.active == [], "the last try heals it", PATIENCE_S)
    assert kept.failures(f"the kernel {why}") == HEAL_TRIES - 1
    assert kept.world.holds(kept.well)


@pytest.mark.parametrize(("where", "why"), [("plan", "cannot be read"), ("apply", "says no")])
def test_what_is_always_refused_is_told_each_time_and_stays_the_labs(
    where: str, why: str, kept: Supervised, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused_after(kept, where, HEAL_TRIES, monkeypatch)
    kept.ask(heal, names=["takes"])
    wait_until(
        lambda: kept.failures(f"the kernel {why}") == HEAL_TRIES, "all tries have been told", PATIENCE_S
    )
    assert kept.active == ["gives"]
    kept.ask(heal, names=["gives"])
    assert kept.world.holds(kept.well)


def refused_after(lab: Supervised, where: str, times: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Refuse so many times to heal `gives`, once `takes` has been."""
    real = serving._heal

    def healing(supervisor: Any, channel: Any, world: Any, ended: Any) -> dict[str, int]:
        counts = real(supervisor, channel, world, ended)
        if [one.fault.name for one in ended] == ["takes"]:
            setattr(lab.world, f"{where}_fails", times)
        return counts

    monkeypatch.setattr(serving, "_heal", healing)


def test_nothing_more_is_done_when_both_were_healed_by_hand_and_another_of_its_name_stays(
    kept: Supervised,
) -> None:
    threads = threading.active_count()
    kept.ask(heal, names=["gives", "takes"])
    wait_until(lambda: threading.active_count() < threads, "nobody waits any more", PATIENCE_S)
    kept.ask(fault, **GIVES_UP)
    kept.bus.publish("lab", state="looked at")
    assert kept.active == ["gives"]


def test_a_new_fault_of_its_name_is_another_one(kept: Supervised) -> None:
    """Both are healed and the name taken anew before the one who waits gets to look."""
    threads = threading.active_count()
    changed = threading.Event()
    real_lock = kept.apply_lock

    class Late(contextlib.AbstractContextManager[None]):
        """Lets whoever waits for events in only after the change."""

        def __enter__(self) -> None:
            if threading.current_thread() is not threading.main_thread():
                assert changed.wait(PATIENCE_S)
            real_lock.acquire()

        def __exit__(self, *_: object) -> None:
            real_lock.release()

    kept.apply_lock = Late()  # type: ignore[assignment]
    kept.ask(heal, all=True)
    kept.ask(fault, **GIVES_UP)
    changed.set()
    wait_until(lambda: threading.active_count() < threads, "nobody waits any more", PATIENCE_S)
    assert kept.active == ["gives"]


def test_a_lab_that_stops_leaves_nobody_waiting(kept: Supervised) -> None:
    threads = threading.active_count()
    kept.stop()
    wait_until(lambda: threading.active_count() < threads, "nobody waits any more", PATIENCE_S)
    assert kept.active == ["gives", "takes"]


@pytest.mark.parametrize("refused", [0, HEAL_TRIES - 1, HEAL_TRIES])
def test_a_fault_that_nothing_keeps_is_tried_as_often_and_its_command_hears_of_the_last_failure(
    refused: int, lab: Supervised
) -> None:
    client = lab.hold(GIVES_UP)
    lab.world.apply_fails = refused
    client.close()
    wait_until(lambda: len(lab.ended) == 1, "the command's request has ended", PATIENCE_S)
    assert lab.failures("the kernel says no") == refused
    if refused == HEAL_TRIES:
        assert (lab.active, str(lab.ended[0])) == (["gives"], "the kernel says no")
    else:
        assert lab.active == []
        assert lab.world.holds(lab.well)
