"""A lab's certificate authority: made when it is first needed, it lives and ends with the lab's directory."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from edge.bgp.files import write_private
from edge.errors import DaemonError, EdgeError
from edge.net.capabilities import found_program
from lab.names import certificates
from lab.names.plan import FrontEnd
from lab.names.table import CRL_FILE

DEADLINE_S = 30.0
"""For one run of openssl; it takes a hundredth of a second, more when the machine is short of entropy."""

_WORKERS = 2


class Authority:
    """The authority whose files lie in `directory`. Thread-safe."""

    def __init__(self, directory: Path, lab: str) -> None:
        self.directory = directory
        self.lab = lab
        self._lock = threading.Lock()

    def certificate(self) -> str:
        """Its own certificate as PEM; the authority and its (empty) revocation list are made if not there.

        Raises DaemonError with openssl's words.
        """
        with self._lock:
            path = self.directory / certificates.CA_CERTIFICATE
            if not path.exists():
                write_private(self.directory / certificates.CONFIG, certificates.config(self.lab, ()))
                write_private(self.directory / certificates.DATABASE, "")
                write_private(self.directory / certificates.CRL_NUMBER, "01\n")
                self._openssl(certificates.authority_arguments())
                self._openssl(certificates.list_arguments())
                listed = (self.directory / certificates.CRL_PEM).read_text(encoding="ascii")
                (self.directory / CRL_FILE).write_bytes(certificates.der(listed))
            return path.read_text(encoding="ascii")

    def issue(self, front_ends: Sequence[FrontEnd]) -> None:
        """Give each front end a new key and certificate. Raises DaemonError with openssl's words."""
        self.certificate()
        with self._lock, ThreadPoolExecutor(_WORKERS, thread_name_prefix="openssl") as pool:
            write_private(self.directory / certificates.CONFIG, certificates.config(self.lab, front_ends))
            work = [pool.submit(self._openssl, certificates.certificate_arguments(end)) for end in front_ends]
            for one in work:
                one.result()

    def _openssl(self, arguments: tuple[str, ...]) -> None:
        """Run openssl in the directory; the lab's umask keeps others from its keys."""
        try:
            done = subprocess.run(
                [found_program("openssl") or "openssl", *arguments],
                cwd=self.directory,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=DEADLINE_S,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise EdgeError(f"openssl {arguments[0]}: {error}") from error
        if done.returncode != 0:
            words = " / ".join(done.stderr.strip().splitlines()[-3:])
            raise DaemonError(f"openssl {arguments[0]} in {self.directory} failed: {words}")
