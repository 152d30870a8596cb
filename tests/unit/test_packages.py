"""`.make/packages` leaves no service of what it installed, also when apt fails or somebody ends it."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / ".make" / "packages"
INSTALLS = """#!/bin/bash
case " $* " in *" -s "*|*" update "*) exit 0 ;; esac
printf '#!/bin/sh\\n' >"{bin}/lab-charon" && chmod +x "{bin}/lab-charon"
{then}
"""


def ended(folder: Path, then: str, had: bool = False) -> tuple[int, str]:
    """Run it against an apt and a systemctl of ours: (exit status, what systemctl was told)."""
    programs, running, told = folder / "bin", folder / "systemd", folder / "told"
    programs.mkdir()
    running.mkdir()
    told.touch()
    (programs / "apt-get").write_text(INSTALLS.format(bin=programs, then=then))
    (programs / "systemctl").write_text(f'#!/bin/sh\necho "$*" >>"{told}"\n')
    (programs / "id").write_text("#!/bin/sh\necho 0\n")
    if had:
        (programs / "lab-charon").write_text("#!/bin/sh\n")
    for program in programs.iterdir():
        program.chmod(0o755)
    # A program that no machine has in the place of charon, so that this one's does not count.
    text = SCRIPT.read_text().replace("charon-systemd charon-systemd\n", "charon-systemd lab-charon\n")
    text = text.replace("strongswan.service charon-systemd\n", "strongswan.service lab-charon\n")
    text = text.replace("tshark\n", "lab-never-there\n")
    script = folder / "packages"
    script.write_text(text.replace("/run/systemd/system", str(running)))
    environment = {**os.environ, "PATH": f"{programs}:{os.environ['PATH']}"}
    found = subprocess.run(
        ["bash", str(script), "test"], env=environment, capture_output=True, timeout=60, check=False
    )
    return found.returncode, told.read_text()


@pytest.mark.parametrize(
    ("then", "status"),
    [("exit 0", 0), ("exit 100", 100), ("kill -TERM $PPID; exit 0", 128 + signal.SIGTERM)],
    ids=["done", "failed", "ended"],
)
def test_the_service_of_what_was_installed_is_disabled(tmp_path: Path, then: str, status: int) -> None:
    code, told = ended(tmp_path, then)
    assert code == status
    assert "disable --quiet --now strongswan.service" in told


@pytest.mark.parametrize("then", ["exit 0", "exit 100"])
def test_a_service_that_was_here_before_is_left_alone(tmp_path: Path, then: str) -> None:
    assert "strongswan" not in ended(tmp_path, then, had=True)[1]
