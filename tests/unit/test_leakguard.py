"""The leak guard fails a test that leaves something behind, and names it."""

from __future__ import annotations

import socket
from collections.abc import Iterable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def guarded(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """A project of its own whose tests are watched by the guard, run in a process of its own."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    pytester.makeini("[pytest]\naddopts = -p tests.leakguard\nleak_grace_s = 0.5\n")
    return pytester


LEAKS = {
    "descriptor": "os.open('/dev/null', os.O_RDONLY)",
    "temporary file": "open(tempfile.mkstemp()[0]).close()",
    "process: * sleep 60": "keep.append(subprocess.Popen(['sleep', '60']))",
    "process: * (ended, never waited for)": "pid = os.fork()\n    if pid == 0: os._exit(0)",
    "process: * sleep 61": "subprocess.run(['sh', '-c', 'setsid -f sleep 61'], check=True)",
}

KERNEL_LEAKS = {
    "network namespace: stray": "subprocess.run(['ip', 'netns', 'add', 'stray'], check=True)",
    "link: stray0": "subprocess.run(['ip', 'link', 'add', 'stray0', 'type', 'bridge'], check=True)",
    "mount: * /run/stray": (
        "os.mkdir('/run/stray'); subprocess.run(['mount', '-t', 'tmpfs', 'none', '/run/stray'], check=True)"
    ),
    "entry of /run/edgelab: stray": "os.makedirs('/run/edgelab/stray')",
}


def leaking_tests(statements: Iterable[str]) -> str:
    """One test for each statement, and behind each one that leaves nothing."""
    tests = [
        f"def test_leak_{number}():\n    {statement}\n\ndef test_after_{number}():\n    pass\n"
        for number, statement in enumerate(statements)
    ]
    return "\n".join(["import os, subprocess, tempfile", "keep = []", *tests])


def assert_each_is_reported(guarded: pytest.Pytester, leaks: dict[str, str]) -> None:
    guarded.makepyfile(leaking_tests(leaks.values()))
    result = guarded.runpytest_subprocess()
    result.assert_outcomes(passed=2 * len(leaks), errors=len(leaks))
    for number, kind in enumerate(leaks):
        result.stdout.fnmatch_lines([f"*::test_leak_{number} left behind:", f"  {kind}*"])


def test_a_leak_fails_its_test_by_name_and_no_other(guarded: pytest.Pytester) -> None:
    assert_each_is_reported(guarded, LEAKS)


@pytest.mark.root
def test_a_leak_in_the_kernel_fails_its_test_and_stays_inside_the_run(guarded: pytest.Pytester) -> None:
    assert_each_is_reported(guarded, KERNEL_LEAKS)
    assert not Path("/run/stray").exists()
    assert "stray0" not in {name for _, name in socket.if_nameindex()}


@pytest.mark.root
def test_what_is_removed_again_is_no_leak(guarded: pytest.Pytester) -> None:
    guarded.makepyfile(
        """
        import subprocess

        def test_namespace_comes_and_goes():
            for verb in "add", "delete":
                subprocess.run(["ip", "netns", verb, "guest"], check=True)
        """
    )
    guarded.runpytest_subprocess().assert_outcomes(passed=1)


def test_a_leaked_process_is_ended(guarded: pytest.Pytester) -> None:
    note = guarded.path / "pid"
    statement = f"open({str(note)!r}, 'w').write(str(os.spawnlp(os.P_NOWAIT, 'sleep', 'sleep', '62')))"
    guarded.makepyfile(leaking_tests([statement]))
    guarded.runpytest_subprocess().assert_outcomes(passed=2, errors=1)
    assert not Path("/proc", note.read_text()).exists()


def test_a_fixture_of_the_module_may_live_as_long_as_the_module(guarded: pytest.Pytester) -> None:
    guarded.makepyfile(
        """
        import os, pytest

        @pytest.fixture(scope="module")
        def null():
            number = os.open("/dev/null", os.O_RDONLY)
            yield number
            os.close(number)

        def test_one(null): pass
        def test_two(null): pass
        """
    )
    guarded.runpytest_subprocess().assert_outcomes(passed=2)


def test_a_leak_of_a_module_is_reported_once(guarded: pytest.Pytester) -> None:
    guarded.makepyfile(
        """
        import os, pytest

        @pytest.fixture(scope="module")
        def null():
            return os.open("/dev/null", os.O_RDONLY)

        def test_one(null): pass
        def test_two(null): pass
        """
    )
    result = guarded.runpytest_subprocess()
    result.assert_outcomes(passed=2, errors=1)
    result.stdout.fnmatch_lines(["*.py left behind:", "  descriptor: * /dev/null"])


def test_what_ends_within_the_grace_period_is_no_leak(guarded: pytest.Pytester) -> None:
    guarded.makepyfile(
        """
        import subprocess

        def test_daemon_that_is_about_to_end():
            subprocess.run(["sh", "-c", "setsid -f sleep 0.2"], check=True)
        """
    )
    guarded.runpytest_subprocess().assert_outcomes(passed=1)


def test_the_run_of_a_test_is_marked_and_its_temporary_directory_is_removed(guarded: pytest.Pytester) -> None:
    note = guarded.path / "note"
    guarded.makepyfile(
        f"""
        import os, tempfile

        def test_sees_the_run():
            assert os.environ["EDGELAB_TEST_RUN"]
            open({str(note)!r}, "w").write(tempfile.gettempdir())
        """
    )
    guarded.runpytest_subprocess().assert_outcomes(passed=1)
    assert "edgelab-test-" in note.read_text()
    assert not Path(note.read_text()).exists()


@pytest.mark.root
def test_the_run_sees_no_link_of_the_machine_but_its_own_loopback() -> None:
    assert socket.if_nameindex() == [(1, "lo")]
