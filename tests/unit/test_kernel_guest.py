"""The pure parts of the stock kernel's runner and of the plugin that selects tests by kernel."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from edge.errors import UsageError
from tests.kernel.__main__ import job_of
from tests.kernel.guest import Installed, Job, arguments, script
from tests.kernels import line

KERNEL = Installed(Path("/usr/bin/linux.uml"), Path("/usr/lib/uml/modules/6.1.176"))


def test_the_script_keeps_words_variables_and_directory_as_they_are(tmp_path: Path) -> None:
    words = ["printf", "%s|", "a b", "$HOME", "it's", ""]
    odd = tmp_path / "a 'b'"
    odd.mkdir()
    job = Job(["sh", "-c", 'printf "%s|" "$X" "$PWD" "$@"', *words], {"X": "$Y 'z'\n"}, odd)
    done = subprocess.run(["sh", "-c", script(job)], capture_output=True, text=True)
    assert done.stdout == f"$Y 'z'\n|{odd}|" + "".join(f"{word}|" for word in words[1:])


def test_a_variable_that_no_shell_could_name_is_refused() -> None:
    with pytest.raises(UsageError, match="'a b' cannot be the name"):
        script(Job(["true"], {"a b": "1"}))


def test_the_root_is_read_only_and_memory_is_bounded() -> None:
    words = arguments(KERNEL, Job(["true"], memory_mib=512), Path("/job"), ["null,fd:3", "null,fd:4"])
    assert {"ro", "rootfstype=hostfs", "mem=512M", "con0=null,fd:3", "con1=null,fd:4"} <= set(words)
    assert words[-2:] == ["--", "/job"]


def test_a_checkout_under_a_name_with_a_blank_does_not_stand_on_the_kernels_command_line() -> None:
    job = Job(["make", "a b"], directory=Path("/a checkout"))
    words = arguments(KERNEL, job, Path("/job"), ["null,fd:3"])
    assert "init=/job/init.sh" in words
    assert not any(" " in word for word in words)


@pytest.mark.parametrize("words", [[], ["lab"], ["run"], ["boot", "x"]])
def test_a_command_line_that_says_nothing_is_not_understood(words: list[str]) -> None:
    assert job_of(words) is None


def test_the_tests_of_the_stock_kernel_know_where_they_are() -> None:
    job = job_of(["test", "-k", "capture"])
    assert job is not None
    assert job.environment["EDGELAB_TEST_KERNEL"] == "stock"
    assert list(job.command[-2:]) == ["-k", "capture"]


def test_the_summary_tells_what_ran_and_leaves_out_what_did_not() -> None:
    assert line("stock", "6.1.176", {"passed": 40, "failed": 0, "skipped": 1}) == (
        "kernel 6.1.176 (stock): 40 passed, 1 skipped"
    )
    assert line("here", "6.18", {"passed": 0}) == "kernel 6.18 (here): no tests"


MARKED = """
import pytest
@pytest.mark.kernels("here")
def test_here(): pass
@pytest.mark.kernels("stock")
def test_stock(): pass
@pytest.mark.kernels("here", "stock")
def test_both(): pass
def test_plain(): pass
"""


@pytest.mark.parametrize(
    ("kernel", "names"), [("here", {"here", "both", "plain"}), ("stock", {"stock", "both"})]
)
def test_each_kernel_runs_the_tests_marked_for_it(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, kernel: str, names: set[str]
) -> None:
    monkeypatch.setenv("EDGELAB_TEST_KERNEL", kernel)
    monkeypatch.delenv("EDGELAB_TEST_SUMMARY", raising=False)
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    pytester.makepyfile(MARKED)
    pytester.makeini("[pytest]\nmarkers = kernels(*names): where")
    done = pytester.runpytest_inprocess("-p", "tests.kernels", "-p", "no:cacheprovider", "-v")
    done.assert_outcomes(passed=len(names), deselected=4 - len(names))
    for name in names:
        done.stdout.fnmatch_lines([f"*::test_{name} PASSED*"])
    done.stdout.fnmatch_lines([f"kernel * ({kernel}): {len(names)} passed"])


def test_a_kernel_that_does_not_exist_is_told(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("EDGELAB_TEST_SUMMARY", raising=False)
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    pytester.makepyfile("import pytest\n@pytest.mark.kernels('stok')\ndef test_x(): pass")
    pytester.makeini("[pytest]\nmarkers = kernels(*names): where")
    done = pytester.runpytest_inprocess("-p", "tests.kernels", "-p", "no:cacheprovider")
    assert done.ret == pytest.ExitCode.USAGE_ERROR
    done.stderr.fnmatch_lines(["*test_x: kernels('stok',): name one or more of here, stock*"])
