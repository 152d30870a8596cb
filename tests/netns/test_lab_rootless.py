"""A lab of a user without any rights: VLAN devices in a user namespace, BIRD, address translation."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from labs import CONTOSO, until

ROOT = Path(__file__).parents[2]
NOBODY = 65534
TOPOLOGY = CONTOSO.with_name("one-edge.edge.yml")

# In the guest only: the way to our files is opened to everybody, in the guest's own layer of them.
pytestmark = [pytest.mark.root, pytest.mark.kernels("stock")]


def open_to_all(path: Path) -> None:
    """Let everybody pass the folders that lead to a file, links followed."""
    for folder in {*path.parents, *path.resolve().parents}:
        folder.chmod(folder.stat().st_mode | 0o055)


def processes_of_nobody() -> list[str]:
    """Process ids."""
    return [
        entry.name
        for entry in Path("/proc").iterdir()
        if entry.name.isdigit() and entry.exists() and entry.stat().st_uid == NOBODY
    ]


@pytest.mark.shows("a lab without root", stock="kernel")
def test_a_lab_without_root_comes_up_proves_itself_and_goes() -> None:
    for path in (Path(sys.executable), ROOT / "pyproject.toml"):
        open_to_all(path)
    # Here nftables cannot do it, and whoever has no rights cannot load the older modules.
    subprocess.run(
        ["modprobe", "-a", "iptable_filter", "iptable_nat", "ip6table_filter", "ip6table_nat"], check=True
    )
    home = Path("/run/nobody")
    home.mkdir()
    os.chown(home, NOBODY, NOBODY)
    environment = {**os.environ, "EDGELAB_DIR": str(home / "labs"), "HOME": str(home), "TMPDIR": "/tmp"}

    def edgelab(*words: str) -> str:
        done = subprocess.run(
            [
                *("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"),
                *(sys.executable, "-m", "lab.cli", *words),
            ],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, f"{words}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout

    try:
        assert "tags by kernel" in edgelab("deploy", "-t", str(TOPOLOGY), "--wait", "60")
        assert "10 of 10 checks passed" in edgelab("check")
    finally:
        edgelab("destroy", "--all")
    until(lambda: not processes_of_nobody(), "no process of the lab is left")
    assert not list(home.iterdir())
    home.rmdir()
