"""The `edgelab` command where it needs no lab: help, exit codes, words, pipes, ordinary users."""

from __future__ import annotations

import importlib
import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import pytest

from edge.program import run
from lab.cli import _VERBS, cli
from lab.drills.topologies import gallery

ROOT = Path(__file__).parents[2]
CONTOSO = ROOT / "lab" / "topologies" / "contoso.edge.yml"
NOBODY = 65534

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def edgelab(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Runs the command in this process: (exit status, standard output, standard error)."""
    monkeypatch.setenv("EDGELAB_DIR", str(tmp_path / "labs"))

    def call(*words: str) -> tuple[int, str, str]:
        status = run(cli, "edgelab", list(words))
        return status, *capfd.readouterr()

    return call


def program(*words: str, **options: object) -> subprocess.CompletedProcess[str]:
    """Runs the command as a process of its own."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **options.pop("env", {})}
    command = [sys.executable, "-m", "lab.cli", *words]
    defaults = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "timeout": 60}
    return subprocess.run(command, env=environment, **{**defaults, **options})


@pytest.mark.parametrize("verb", _VERBS)
def test_help_of_every_verb_has_an_example_that_names_it(edgelab: Run, verb: str) -> None:
    status, out, _ = edgelab(verb, "--help")
    assert status == 0
    assert f"edgelab {verb}" in out.partition("Example")[2]


def test_help_of_the_program_lists_every_verb_and_the_exit_codes(edgelab: Run) -> None:
    status, out, _ = edgelab("--help")
    assert status == 0
    assert all(f"\n  {verb} " in out for verb in _VERBS)
    assert "Exit codes: 0 done, 1 a check failed or the service refused" in out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("fly",), "No such command 'fly'"),
        (("list", "--colour"), "--colour"),
        (("deploy",), "Missing option '-t'"),
        (("list", "--format", "xml"), "'xml' is not one of 'table', 'json'"),
        (("exec", "ce1"), "say what to run after --"),
        (("exec", "a", "b", "c", "--", "true"), "too many words before --: a b c"),
        (("shell", "a", "b", "c"), "expected [NAME] [NODE]"),
        (("destroy", "x", "--all"), "either a NAME or --all"),
        (("inspect",), "no lab is running; start one with: edgelab deploy -t FILE"),
        (("inspect", "nowhere"), "no lab nowhere is running"),
        (("deploy", "-t", str(CONTOSO), "--name", "-x"), "cannot name a lab"),
    ],
)
def test_a_wrong_command_line_is_exit_2_with_words_on_stderr(
    edgelab: Run, words: tuple[str, ...], said: str
) -> None:
    status, out, err = edgelab(*words)
    assert (status, out) == (2, "")
    assert said in err


@pytest.mark.parametrize("value", ["nan", "inf", "-1", "1e30", "soon"])
@pytest.mark.parametrize(
    "words", [("deploy", "-t", str(CONTOSO), "--wait"), ("check", "--within"), ("capture", "ce1", "-d")]
)
def test_a_time_that_no_timer_takes_is_a_wrong_command_line(
    edgelab: Run, words: tuple[str, ...], value: str
) -> None:
    status, _, err = edgelab(*words, value)
    assert status == 2
    assert f"Invalid value for '{words[-1]}'" in err or "'-d' / '--duration'" in err


def test_validate_tells_what_a_good_file_comes_to(edgelab: Run) -> None:
    status, out, err = edgelab("validate", "-t", str(CONTOSO))
    assert (status, err) == (0, "")
    assert out.startswith(f"{CONTOSO}: good: lab contoso, ")
    _, out, _ = edgelab("validate", "-t", str(CONTOSO), "--format", "json")
    told = json.loads(out)
    assert (told["version"], told["name"], told["checks"]) == (1, "contoso", 16)


def test_validate_tells_every_problem_with_its_place(edgelab: Run, tmp_path: Path) -> None:
    bad = tmp_path / "bad.edge.yml"
    bad.write_text(
        CONTOSO.read_text().replace("peer_asn: 65010", "peer_asn: 65515").replace("vlan: 200", "vlan: 5000")
    )
    lines = CONTOSO.read_text().splitlines()
    status, out, err = edgelab("validate", "-t", str(bad))
    assert (status, out) == (2, "")
    for text in ("peer_asn: 65010", "vlan: 200"):
        number = next(n for n, line in enumerate(lines, 1) if text in line)
        assert f"{bad}:{number}:" in err


@pytest.mark.parametrize(
    "name", ["with space.yml", "ümläut.yml", "new\nline.yml", "'quoted\".yml", "-dash.yml"]
)
def test_a_topology_may_lie_under_any_name_and_be_named_from_any_directory(tmp_path: Path, name: str) -> None:
    shutil.copy(CONTOSO, tmp_path / name)
    done = program("validate", "-t", name, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"{name}: good")


@pytest.mark.parametrize(
    ("content", "said"),
    [(None, "there is no such file"), (b"", "is empty"), (bytes(range(256)), "is not text in UTF-8")],
)
def test_a_file_that_is_no_topology_is_exit_2(
    edgelab: Run, tmp_path: Path, content: bytes | None, said: str
) -> None:
    path = tmp_path / "x.yml"
    if content is not None:
        path.write_bytes(content)
    status, _, err = edgelab("validate", "-t", str(path))
    assert (status, said in err) == (2, True)


def test_the_environment_gives_options_under_their_own_names(
    edgelab: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGELAB_LIST_FORMAT", "json")
    status, out, _ = edgelab("list")
    assert (status, json.loads(out)) == (0, {"version": 1, "labs": []})
    monkeypatch.setenv("EDGELAB_VALIDATE_TOPOLOGY", str(CONTOSO))
    assert edgelab("validate")[0] == 0


@pytest.mark.parametrize(
    "words", [("--help",), ("schema",), ("list",), ("deploy", "-t", str(CONTOSO), "--dry-run")]
)
def test_a_reader_that_has_seen_enough_is_no_error(words: tuple[str, ...], tmp_path: Path) -> None:
    read, write = os.pipe()
    os.close(read)
    try:
        done = program(*words, stdout=write, env={"EDGELAB_DIR": str(tmp_path / "labs")})
    finally:
        os.close(write)
    assert done.returncode == 0
    assert "Broken" not in done.stderr
    assert "Traceback" not in done.stderr


def test_output_that_finds_no_room_is_exit_4(tmp_path: Path) -> None:
    with open("/dev/full", "w") as full:
        done = program("schema", stdout=full)
    assert (done.returncode, done.stderr) == (
        4,
        "edgelab: No space left on device; free some space and try again\n",
    )


def test_a_defect_of_ours_is_one_line_and_no_traceback(capfd: pytest.CaptureFixture[str]) -> None:
    @click.command()
    def broken() -> None:
        raise RuntimeError("surprise")

    assert run(broken, "edgelab", []) == 4
    out, err = capfd.readouterr()
    assert out == ""
    assert err.startswith("edgelab: a defect of edgelab (RuntimeError: surprise; ")
    assert err.count("\n") == 1


def test_ctrl_c_is_exit_130_and_one_line(capfd: pytest.CaptureFixture[str]) -> None:
    @click.command()
    def interrupted() -> None:
        raise KeyboardInterrupt

    assert run(interrupted, "edgelab", []) == 130
    assert capfd.readouterr()[1].strip() == "edgelab: interrupted"


def complete(folder: Path, words: str) -> list[str]:
    """What bash is told after these words, typed in a folder: its type and the word, "plain,deploy"."""
    number = str(len(words.split(" ")) - 1)
    asked = {"_EDGELAB_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": number}
    done = subprocess.run(
        [sys.executable, "-c", "import sys; from lab.cli import main; sys.argv[0] = 'edgelab'; main()"],
        env={**os.environ, "PYTHONPATH": str(ROOT), "EDGELAB_DIR": str(folder / "labs"), **asked},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stderr == ""
    return done.stdout.split()


def test_completion_knows_verbs_and_their_options(tmp_path: Path) -> None:
    assert complete(tmp_path, "edgelab de") == ["plain,deploy", "plain,destroy"]
    assert complete(tmp_path, "edgelab list --format ") == ["plain,table", "plain,json"]
    assert complete(tmp_path, "edgelab destroy ") == []


def test_completion_of_a_topology_knows_the_gallery_and_what_lies_here(tmp_path: Path) -> None:
    (tmp_path / "metro-plans").mkdir()
    for name in ("metropolis.edge.yml", "metro and more.edge.yml", ".metro", "mine.edge.yml"):
        (tmp_path / name).touch()
    for verb in ("deploy", "validate", "graph"):
        told = complete(tmp_path, f"edgelab {verb} -t metro")
        assert told == ["plain,metro", "plain,metro-plans/", "plain,metropolis.edge.yml"]
    everything = complete(tmp_path, "edgelab deploy -t ")
    assert {f"plain,{name}" for name in gallery()} < set(everything)
    assert {"plain,mine.edge.yml", "plain,metro-plans/"} < set(everything)
    # No name begins so: the shell looks for files itself, in other folders as well.
    assert complete(tmp_path, "edgelab deploy -t mine") == ["file,mine"]
    assert complete(tmp_path, "edgelab deploy -t metro-plans/") == ["file,metro-plans/"]


def test_bash_shows_names_of_the_gallery_and_files(tmp_path: Path) -> None:
    """As bash asks and hears it: what it was told is what it would show."""
    (tmp_path / "metropolis.edge.yml").touch()
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "edgelab"
    # No #! line of Python's: its path may have a blank.
    python = f'{shlex.quote(sys.executable)} -c "from lab.cli import main; main()"'
    program.write_text(f'#!/bin/sh\nexec {python} "$@"\n')
    program.chmod(0o755)
    script = """
        eval "$(_EDGELAB_COMPLETE=bash_source edgelab)"
        COMP_WORDS=(edgelab deploy -t metro) COMP_CWORD=3
        _edgelab_completion edgelab
        printf '%s\\n' "${COMPREPLY[@]}"
    """
    path = f"{tmp_path / 'bin'}:{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "--norc", "-c", script],
        env={**os.environ, "PATH": path, "PYTHONPATH": str(ROOT)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.stdout.split(), done.stderr) == (["metro", "metropolis.edge.yml"], "")


@pytest.fixture
def users_folder() -> Iterator[Path]:
    """A folder that an ordinary user reaches and owns, with a topology in it."""
    folder = Path(tempfile.mkdtemp(prefix="edgelab-user-", dir="/tmp"))
    shutil.copy(CONTOSO, folder / "contoso.edge.yml")
    if os.geteuid() == 0:
        os.chown(folder, NOBODY, NOBODY)
        (folder / "contoso.edge.yml").chmod(0o644)
    yield folder
    shutil.rmtree(folder)


def as_ordinary_user(folder: Path, *words: str) -> tuple[int, str, str]:
    """Run the command in a forked child without root's rights: (exit status, output, messages).

    What it imports is imported before, since an ordinary user may not read the place we run from.
    """
    for module in ("lab.deploy", "lab.requests", "lab.supervisor", "edge.net.capabilities"):
        importlib.import_module(module)
    for name in _VERBS:
        cli.get_command(click.Context(cli), name)
    dry_run = ["deploy", "-t", str(CONTOSO), "--dry-run"]
    for before in (["validate", "-t", str(CONTOSO)], ["schema"], dry_run, ["list"], ["destroy"]):
        assert run(cli, "edgelab", before) == 0
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        child = os.fork()
        if child == 0:
            status = 70
            try:
                os.dup2(out.fileno(), 1)
                os.dup2(err.fileno(), 2)
                sys.stdout, sys.stderr = open(1, "w", closefd=False), open(2, "w", closefd=False)
                if os.geteuid() == 0:
                    os.setgroups([])
                    os.setgid(NOBODY)
                    os.setuid(NOBODY)
                os.chdir(folder)
                os.environ["EDGELAB_DIR"] = str(folder / "labs")
                status = run(cli, "edgelab", list(words))
                sys.stdout.flush()
                sys.stderr.flush()
            finally:
                os._exit(status)
        _, raw = os.waitpid(child, 0)
        out.seek(0)
        err.seek(0)
        return os.waitstatus_to_exitcode(raw), out.read(), err.read()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("validate", "-t", "contoso.edge.yml"), "contoso.edge.yml: good"),
        (("schema",), '"$schema"'),
        (("deploy", "-t", "contoso.edge.yml", "--dry-run"), "create BIRD in ce1"),
        (("list",), "lab"),
        (("destroy",), "no lab is running"),
    ],
)
def test_what_touches_nothing_needs_no_root(
    users_folder: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], said: str
) -> None:
    monkeypatch.setenv("EDGELAB_DIR", str(users_folder / "nothing"))
    status, out, err = as_ordinary_user(users_folder, *words)
    assert status == 0, err
    assert said in out


def test_deploy_by_an_ordinary_user_says_what_is_missing_and_leaves_nothing(
    users_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGELAB_DIR", str(users_folder / "nothing"))
    # BPF is what no user namespace gives; whether the kernel's own VLAN devices are there is the machine's.
    status, out, err = as_ordinary_user(users_folder, "deploy", "-t", "contoso.edge.yml", "--links", "bpf")
    assert (status, out) == (3, ""), err
    assert "no realisation of links and tags fits this machine" in err or "refuses new namespaces" in err
    assert "way out: " in err
    assert "root" in err
    assert sorted(path.name for path in users_folder.iterdir()) == ["contoso.edge.yml"]
