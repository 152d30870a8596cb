"""Real BIRDs: reconfiguration without disturbance, deaths, restarts, ends."""

from __future__ import annotations

import os
import select
import shutil
import signal
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest

from edge import child
from edge.bgp.config import render
from edge.bgp.control import ControlSocket
from edge.bgp.process import Birds, control_path
from edge.errors import DaemonError, DeadlineError
from edge.model import Bfd, ExportPolicy, ImportPolicy, PrefixLimit, Session, Timers, Vrf
from edge.net.objects.changes import Change
from edge.net.objects.daemons import BirdDaemon
from tests.netns.bird_world import World, net, session, vrf, world_in
from tests.netns.conftest import Sandbox

pytestmark = pytest.mark.skipif(shutil.which("bird", path="/usr/sbin:/usr/bin") is None, reason="needs BIRD")


@pytest.fixture
def world(sandbox: Sandbox, tmp_path: Path) -> Iterator[World]:
    made = world_in(sandbox.run, tmp_path / "bird", sandbox.netns_directory)
    yield made
    made.birds.close()


def one(world: World) -> tuple[Vrf, Vrf]:
    """ce and msee with a session up between them."""
    world.namespace("ce", "msee")
    wire = world.wire(1, "ce", "msee")
    ce = vrf("ce", [session(wire, "ce", "microsoft", (65010, 12076))], ["10.1.0.0/16"])
    msee = vrf("msee", [session(wire, "msee", "customer", (12076, 65010))], ["10.50.0.0/16"])
    world.give(ce, msee)
    world.established(("ce", ce.sessions[0]), ("msee", msee.sessions[0]))
    return ce, msee


def same(first: datetime | None, second: datetime | None) -> bool:
    """Whether two readings are of one moment: BIRD derives it from two clocks, a millisecond apart."""
    assert first is not None
    assert second is not None
    return abs((first - second).total_seconds()) < 0.1


def ended(pidfd: int, timeout_s: float = 5) -> bool:
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    return bool(poll.poll(timeout_s * 1000))


def test_a_change_of_one_session_leaves_the_others_up(world: World) -> None:
    world.namespace("m", "a", "b")
    wires = [world.wire(1, "m", "a"), world.wire(2, "m", "b")]
    keys = {"bfd": Bfd(), "password": "one"}
    first, second = (session(wire, "m", "customer", (12076, 65010), **keys) for wire in wires)
    peers = [session(wire, wire.b, "microsoft", (65010, 12076), **keys) for wire in wires]
    world.give(vrf("m", [first, second], ["10.50.0.0/16"]))
    world.give(*(vrf(wire.b, [peer]) for wire, peer in zip(wires, peers, strict=True)))
    world.established(("m", first), ("m", second))
    world.wait("BFD up", lambda: world.state("m", second).bfd == "Up", 5)
    bfd_since = {s.address: s.since for s in world.control("m").bfd_sessions()}
    since = {item.name: world.state("m", item).since for item in (first, second)}

    def unchanged(*sessions: Session) -> None:
        for item in sessions:
            state = world.state("m", item)
            assert state.established, f"{item.name} is {state.info}"
            assert same(state.since, since[item.name]), f"{item.name} was restarted"
            now = {s.address: s.since for s in world.control("m").bfd_sessions()}
            assert same(now[item.neighbor], bfd_since[item.neighbor]), f"{item.name}: BFD was restarted"

    world.give(vrf("m", [first, second], ["10.50.0.0/16", "10.60.0.0/16"]))
    world.has_route("a", "10.60.0.0/16")
    unchanged(first, second)

    world.give(vrf("m", [first, second], [("10.50.0.0/16", ((12076, 20001),)), "fd00:50::/48"]))
    world.wait("communities", lambda: world.has_route("b", "10.50.0.0/16").communities, 5)
    unchanged(first, second)

    quiet = replace(first, exports=ExportPolicy(originated=False), imports=ImportPolicy(local_pref=200))
    world.give(vrf("m", [quiet, second], ["10.50.0.0/16"]))
    world.lacks_route("a", "10.50.0.0/16")
    world.has_route("b", "10.50.0.0/16")
    unchanged(first, second)

    limited = replace(first, imports=ImportPolicy(limit=PrefixLimit(100, retry_s=8)))
    world.give(vrf("m", [limited, second], ["10.50.0.0/16"]))
    unchanged(second)
    world.established(("m", first))
    since[first.name] = world.state("m", first).since
    world.give(vrf("m", [replace(limited, imports=ImportPolicy(limit=PrefixLimit(50, 8))), second]))
    unchanged(second)

    rekeyed = replace(first, password="two")
    world.give(vrf("m", [rekeyed, second], ["10.50.0.0/16"]))
    world.wait("the other key", lambda: not world.state("m", rekeyed).established, 5)
    unchanged(second)
    world.give(vrf("a", [replace(peers[0], password="two")]))
    world.established(("m", rekeyed), timeout_s=15)
    unchanged(second)

    world.give(vrf("m", [replace(rekeyed, timers=Timers(3, 10), bfd=None), second], ["10.50.0.0/16"]))
    world.established(("m", rekeyed), timeout_s=15)
    assert world.state("m", rekeyed).hold_s == 10
    unchanged(second)

    world.give(vrf("m", [second], ["10.50.0.0/16"]))
    unchanged(second)
    assert world.control("m").protocols("customer_a_4") == ()


def test_a_refused_change_leaves_the_old_configuration_in_force(world: World, tmp_path: Path) -> None:
    ce, _ = one(world)
    since = world.state("ce", ce.sessions[0]).since
    before = BirdDaemon("ce", render(ce))
    (error,) = world.birds.apply([Change(before, BirdDaemon("ce", render(ce) + "\nprotocol nonsense;\n"))])
    assert isinstance(error, DaemonError)
    assert "BIRD in ce" in str(error)
    assert "syntax error" in str(error)
    assert before in world.birds.found()
    assert (tmp_path / "bird" / "ce.conf").read_text() == before.config
    assert not (tmp_path / "bird" / "ce.new").exists()
    assert same(world.state("ce", ce.sessions[0]).since, since)


def test_a_daemon_that_died_is_not_found_and_restart_brings_it_back(world: World) -> None:
    ce, msee = one(world)
    wanted = {BirdDaemon("ce", render(ce)), BirdDaemon("msee", render(msee))}
    assert world.birds.found() == wanted
    world.has_route("ce", "10.50.0.0/16")
    log_fd, pid, pidfd = world.birds.log_fds()["ce"], world.birds.pids()["ce"], world.birds.pidfd("ce")
    os.kill(pid, signal.SIGKILL)
    assert ended(pidfd)
    assert world.birds.found() == {BirdDaemon("msee", render(msee))}
    assert world.birds.known() == {"ce", "msee"}
    with pytest.raises(DaemonError, match="no BIRD answers"):
        world.control("ce").status()
    world.birds.restart("ce")
    assert world.birds.found() == wanted
    assert world.birds.pids()["ce"] != pid
    assert world.birds.log_fds()["ce"] == log_fd
    world.established(("ce", ce.sessions[0]), ("msee", msee.sessions[0]), timeout_s=15)
    world.has_route("ce", "10.50.0.0/16")


def test_a_daemon_that_hangs_is_not_found_and_is_killed_on_delete(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(child, "STOP_TIMEOUT_S", 0.5)
    ce, msee = one(world)
    pid, pidfd = world.birds.pids()["ce"], os.dup(world.birds.pidfd("ce"))
    os.kill(pid, signal.SIGSTOP)
    assert world.birds.found() == {BirdDaemon("msee", render(msee))}
    with pytest.raises(DeadlineError, match=r"within 0\.2 s"):
        ControlSocket(world.control("ce").path, 0.2).status()
    assert world.birds.apply([Change(BirdDaemon("ce", render(ce)), None)]) == [None]
    assert ended(pidfd, 0)
    os.close(pidfd)


def test_a_creation_of_a_daemon_that_died_starts_it_again(world: World) -> None:
    ce, _ = one(world)
    os.kill(world.birds.pids()["ce"], signal.SIGKILL)
    assert ended(world.birds.pidfd("ce"))
    other = replace(ce, originates=())
    assert world.birds.apply([Change(None, BirdDaemon("ce", render(other)))]) == [None]
    assert BirdDaemon("ce", render(other)) in world.birds.found()


def test_a_deletion_takes_process_files_and_routes_away(world: World, tmp_path: Path) -> None:
    ce, _ = one(world)
    world.wait("kernel", lambda: "10.50.0.0/16" in world.run("ip", "-n", "ce", "route"), 5)
    pidfd = os.dup(world.birds.pidfd("ce"))
    assert (tmp_path / "bird" / "ce.conf").stat().st_mode & 0o777 == 0o600
    assert world.birds.apply([Change(BirdDaemon("ce", render(ce)), None)]) == [None]
    assert ended(pidfd, 0)
    os.close(pidfd)
    assert "10.50.0.0/16" not in world.run("ip", "-n", "ce", "route")
    assert not list((tmp_path / "bird").glob("ce.*"))
    assert world.birds.apply([Change(BirdDaemon("ce", render(ce)), None)]) == [None], "not idempotent"


def test_nobody_reading_the_log_does_not_stop_bird(world: World) -> None:
    ce, _ = one(world)
    control = world.control("ce")
    control.command("debug all all")
    written = 0
    for _ in range(400):
        control.command("restart connected")
        control.command("restart originated4")
        control.command("show status")
        written += 1
    assert written == 400
    assert control.status().message == "Daemon is up and running"
    size = len(os.read(world.birds.log_fds()["ce"], 1 << 20))
    assert size > 100_000, "the pipe did not fill, so nothing was proved"
    assert BirdDaemon("ce", render(ce)) in world.birds.found()


def test_many_daemons_start_side_by_side(world: World) -> None:
    names = [f"r{number}" for number in range(24)]
    world.namespace(*names)
    changes = [Change(None, BirdDaemon(name, render(vrf(name, [], ["10.0.0.0/8"])))) for name in names]
    assert world.birds.apply(changes) == [None] * len(names)
    assert {found.namespace for found in world.birds.found()} == set(names)
    world.birds.close()
    assert world.birds.found() == set()
    assert world.birds.apply([]) == []


def test_a_name_too_long_for_a_socket_gets_a_short_one(sandbox: Sandbox, tmp_path: Path) -> None:
    name = "msee-amsterdam-primary." + "x" * 60
    sandbox.run("ip", "netns", "add", name)
    birds = Birds(tmp_path, sandbox.netns_directory)
    try:
        wanted = BirdDaemon(name, render(vrf(name, [])))
        assert birds.apply([Change(None, wanted)]) == [None]
        assert birds.found() == {wanted}
        assert control_path(tmp_path, name).name.startswith("h-")
        assert ControlSocket(control_path(tmp_path, name)).status().router_id == str(vrf(name, []).router_id)
    finally:
        birds.close()


def test_a_namespace_that_does_not_exist_is_named(world: World) -> None:
    (error,) = world.birds.apply([Change(None, BirdDaemon("nowhere", "router id 1.2.3.4;\n"))])
    assert isinstance(error, DaemonError)
    assert "nowhere: no such namespace" in str(error)
    assert world.birds.known() == frozenset()


def test_a_running_daemon_answers_every_question(world: World) -> None:
    ce, _ = one(world)
    world.has_route("ce", "10.50.0.0/16")
    control = world.control("ce")
    assert control.status().version.startswith("2.")
    assert control.status().router_id == str(ce.router_id)
    assert {p.proto for p in control.protocols()} >= {"BGP", "BFD", "Kernel", "Static", "Direct", "Device"}
    assert control.routes(net("192.0.2.0/24")) == ()
    exported = control.routes(exported_to="microsoft_msee_4")
    assert [str(route.network) for route in exported] == ["10.1.0.0/16"]
    assert control.routes(table="master6", protocol="microsoft_msee_4") == ()
    assert control.configure(check_only=True) == "Configuration OK"
    assert control.configure_soft() == "Reconfigured"
    control.disable("microsoft_msee_4")
    world.wait("shut", lambda: world.state("ce", ce.sessions[0]).state == "down", 5)
    control.enable("microsoft_msee_4")
    world.established(("ce", ce.sessions[0]))
    with pytest.raises(DaemonError, match="syntax error"):
        control.command("make coffee")
    with pytest.raises(DaemonError, match="not the name of a protocol"):
        control.restart('x"; down')
    with pytest.raises(DaemonError, match="not one line"):
        control.command("show status\ndown")
