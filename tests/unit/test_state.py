"""Run directories: locks decide who runs, debris is cleared, names are checked."""

from __future__ import annotations

import fcntl
import os
import threading

import pytest

from edge.errors import EdgeError, UsageError
from lab import state


@pytest.fixture(autouse=True)
def base(tmp_path, monkeypatch):
    base = tmp_path / "labs"
    monkeypatch.setenv("EDGELAB_DIR", str(base))
    return base


def test_a_claimed_lab_runs_until_the_lock_is_let_go() -> None:
    with state.claim("x") as (directory, _):
        assert directory.running()
        assert [lab.name for lab in state.running_labs()] == ["x"]
        assert state.find(None).name == "x"
    assert not directory.running()
    assert state.running_labs() == ()


def test_a_second_claim_of_a_running_lab_is_refused() -> None:
    with state.claim("x"), pytest.raises(UsageError, match="is running"), state.claim("x"):
        pass


def test_debris_of_a_killed_lab_is_cleared_by_the_next_claim(base) -> None:
    (base / "x" / "bird").mkdir(parents=True)
    (base / "x" / "bird" / "ce1.conf").write_text("old")
    (base / "x" / "socket").write_text("old")
    base.chmod(0o700)
    with state.claim("x") as (directory, _):
        assert sorted(path.name for path in directory.path.iterdir()) == ["lock"]


def test_a_base_that_others_may_write_to_is_refused(base) -> None:
    base.mkdir()
    base.chmod(0o777)
    with pytest.raises(EdgeError, match="EDGELAB_DIR"), state.claim("x"):
        pass


def test_an_unwritable_place_is_named_with_a_way_out(monkeypatch) -> None:
    monkeypatch.setenv("EDGELAB_DIR", "/proc/nowhere")
    with pytest.raises(EdgeError, match="cannot make /proc/nowhere"), state.claim("x"):
        pass


def test_find_names_the_labs_that_run() -> None:
    with pytest.raises(UsageError, match="no lab is running"):
        state.find(None)
    with state.claim("a"), state.claim("b"):
        with pytest.raises(UsageError, match=r"more than one lab is running \(a, b\)"):
            state.find(None)
        with pytest.raises(UsageError, match="no lab c is running; running: a, b"):
            state.find("c")


def test_state_is_read_back_and_broken_state_is_empty() -> None:
    with state.claim("x") as (directory, _):
        directory.write_state({"version": 1})
        assert directory.read_state() == {"version": 1}
        (directory.path / "state.json").write_text("{")
        assert directory.read_state() == {}
        directory.remove()
        assert not os.path.exists(directory.path)


def test_two_who_look_at_the_same_moment_do_not_take_each_other_for_a_lab() -> None:
    with state.claim("x") as (directory, _):
        pass
    with directory.lock.open() as looking:
        fcntl.flock(looking, fcntl.LOCK_SH)
        assert not directory.running()
        assert state.running_labs() == ()


def test_a_claim_outlasts_someone_who_only_looks() -> None:
    with state.claim("x") as (directory, _):
        pass
    with directory.lock.open() as looking:
        fcntl.flock(looking, fcntl.LOCK_SH)
        soon = threading.Timer(0.05, fcntl.flock, (looking, fcntl.LOCK_UN))
        soon.start()
        with state.claim("x"):
            assert directory.running()
        soon.join()


def test_clearing_takes_debris_and_leaves_a_lab_in_use_alone() -> None:
    with state.claim("x") as (directory, _):
        directory.write_state({"version": 1})
        directory.clear()
        assert directory.read_state() == {"version": 1}
        directory.empty()
        assert sorted(path.name for path in directory.path.iterdir()) == ["lock"]
        assert directory.running()
    directory.clear()
    assert not directory.path.parent.exists()
    directory.clear()


def test_a_path_too_long_for_sockets_is_refused_before_anything_is_made(tmp_path, monkeypatch) -> None:
    base = tmp_path / ("d" * 100)
    monkeypatch.setenv("EDGELAB_DIR", str(base))
    with pytest.raises(UsageError, match=r"too long .* EDGELAB_DIR"), state.claim("x"):
        pass
    assert not base.exists()


@pytest.mark.parametrize("name", ["new\nline", 'a "quoted" one'])
def test_a_path_that_bird_cannot_take_is_refused_before_anything_is_made(tmp_path, monkeypatch, name) -> None:
    base = tmp_path / name
    monkeypatch.setenv("EDGELAB_DIR", str(base))
    with pytest.raises(UsageError, match="EDGELAB_DIR"), state.claim("x"):
        pass
    assert not base.exists()
