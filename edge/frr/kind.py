"""FRR as a kind of a user's own router: what `edge.own.kinds.Kind` asks for."""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path
from typing import Final

from edge.bgp.state import BfdSession, LogEvent, ProtocolState, RouteInfo
from edge.errors import CapabilityError, DeadlineError
from edge.frr import answers, programs, words
from edge.frr.files import INTEGRATED, files_of
from edge.frr.vty import Vty
from edge.model import Network
from edge.own.kinds import Complaint, Kind, Mount, Software

CHECK_TIMEOUT_S: Final = 20.0


class FrrControl:
    """Reads one FRR by the vty sockets of its bgpd and bfdd. See edge.own.kinds.Control."""

    def __init__(self, run: Path) -> None:
        self._bgpd = Vty(run, "bgpd")
        self._bfdd = Vty(run, "bfdd")

    def protocols(self) -> tuple[ProtocolState, ...]:
        """See Control."""
        return answers.parse_neighbors(self._bgpd.json("show bgp neighbors json"))

    def routes(self, prefix: Network) -> tuple[RouteInfo, ...]:
        """See Control."""
        return answers.parse_prefix(self._bgpd.json(f"show bgp ipv{prefix.version} unicast {prefix} json"))

    def bfd_sessions(self) -> tuple[BfdSession, ...]:
        """See Control."""
        return answers.parse_bfd(self._bfdd.json("show bfd peers json"))

    def refresh(self, neighbor: str) -> None:
        """See Control."""
        self._bgpd.command(f"clear bgp {neighbor} soft")


class Frr:
    """FRR 8 and later, as the distribution installs it."""

    name = "FRR"

    def ready(self) -> None:
        """See Kind."""
        programs.daemons()
        programs.vtysh()
        if os.geteuid() != 0:
            raise CapabilityError(*programs.WITHOUT_ROOT)
        programs.owner()

    def check(self, config: str) -> tuple[Complaint, ...]:
        """See Kind. vtysh knows every command of every daemon, but not whether they go together."""
        program = programs.vtysh()
        with tempfile.TemporaryDirectory(prefix="frr-check-") as directory:
            file = Path(directory, "frr.conf")
            file.write_text(config, encoding="utf-8")
            Path(directory, "vtysh.conf").write_text(INTEGRATED, encoding="utf-8")
            try:
                done = subprocess.run(
                    [program, "--config_dir", directory, "-C", "-f", file],
                    stdin=subprocess.DEVNULL,
                    capture_output=True,
                    timeout=CHECK_TIMEOUT_S,
                    check=False,
                )
            except subprocess.TimeoutExpired as error:
                raise DeadlineError(f"vtysh did not check a file within {CHECK_TIMEOUT_S:g} s") from error
        said = (done.stdout + done.stderr).decode(errors="replace")
        found = words.complaints(said) if done.returncode else ()
        if done.returncode and not found:
            found = (Complaint(0, f"vtysh refuses it with status {done.returncode}"),)
        return (*found, *words.needs_other_daemons(config))

    def software(self, namespace: str, netns: Path, directory: Path) -> Software:
        """See Kind."""
        from edge.frr.daemon import FrrRouter

        return FrrRouter(namespace, netns, files_of(directory, namespace))

    def control(self, directory: Path, namespace: str) -> FrrControl:
        """See Kind."""
        return FrrControl(files_of(directory, namespace).run)

    def mounts(self, directory: Path, namespace: str) -> tuple[Mount, ...]:
        """See Kind."""
        return files_of(directory, namespace).mounts()

    def event(self, line: str) -> LogEvent | None:
        """See Kind."""
        return words.parse_log_line(line)


KIND: Kind = Frr()
