"""MACsec key agreement (MKA, IEEE 802.1X) by wpa_supplicant: one process for each port, with pre-shared keys.

It finds the MACsec device that is there already, by its identifier (MAC address of the port, port 1), and
gives it keys once the other end has proved that it has the same CAK and CKN. With other keys it never does,
and the device, which sends and takes nothing in clear text, stays mute.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import select
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from edge.errors import CapabilityError, DaemonError, EdgeError
from edge.net.capabilities import found_program
from edge.net.namespaces import inside
from edge.net.objects.changes import Change
from edge.net.objects.daemons import MkaDaemon

START_TIMEOUT_S: Final = 15.0
STOP_TIMEOUT_S: Final = 5.0
_LOOK_AGAIN_S: Final = 0.02


def configuration(daemon: MkaDaemon, control: Path) -> str:
    """wpa_supplicant's configuration: MACsec always, by pre-shared keys, no EAP. Pure.

    Up to 2.10, which distributions have, it knows one cipher, GCM-AES-128, and no word for it.
    """
    return f"""ctrl_interface={control}
eapol_version=3
ap_scan=0
network={{
  key_mgmt=NONE
  eapol_flags=0
  macsec_policy=1
  macsec_integ_only=0
  mka_cak={daemon.cak}
  mka_ckn={daemon.ckn}
  mka_priority={daemon.priority}
}}
"""


class _Process:
    """One wpa_supplicant, a child of ours, with its files."""

    def __init__(self, wanted: MkaDaemon, directory: Path, netns_fd: int) -> None:
        """Start it; returns when it answers commands. Raises CapabilityError, DaemonError."""
        self.wanted = wanted
        program = found_program("wpa_supplicant")
        if program is None:
            raise CapabilityError("wpa_supplicant is not installed", "sudo apt-get install wpasupplicant")
        # A control socket lies in a folder and is called after the device; the path of a socket is short.
        stem = "m" + hashlib.sha256(str(wanted.at).encode()).hexdigest()[:4]
        self._control = directory / stem
        self._config = directory / f"{stem}.mka"
        self._log = directory / f"{stem}.log"
        with os.fdopen(os.open(self._config, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(configuration(wanted, self._control))
        socket = self._control / wanted.at.device
        socket.unlink(missing_ok=True)
        with self._log.open("wb") as log, inside(netns_fd):
            self.process = subprocess.Popen(
                [program, "-i", wanted.at.device, "-D", "macsec_linux", "-c", str(self._config)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                start_new_session=True,
            )
        self.pidfd = os.pidfd_open(self.process.pid)
        end = time.monotonic() + START_TIMEOUT_S
        while not socket.exists():
            if self._ended_within(_LOOK_AGAIN_S) or time.monotonic() > end:
                words = self._log.read_text(errors="replace").strip().splitlines()[-4:]
                self.close()
                raise DaemonError(f"{wanted} does not start: {' / '.join(words) or 'it said nothing'}")

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self.process.poll() is None

    def close(self) -> None:
        """End it and take its files away."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self.pidfd, number)
            if self._ended_within(STOP_TIMEOUT_S):
                break
        self.process.wait()
        os.close(self.pidfd)
        for path in (self._config, self._log):
            path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            (self._control / self.wanted.at.device).unlink(missing_ok=True)
            self._control.rmdir()

    def _ended_within(self, seconds: float) -> bool:
        poll = select.poll()
        poll.register(self.pidfd, select.POLLIN)
        return bool(poll.poll(seconds * 1000))


class MkaDaemons:
    """All key agreements of a sandbox; their files lie in `directory`. Thread-safe.

    netns_fd: gives the descriptor of a namespace by name, as Kernel.netns_fd does.
    """

    def __init__(self, directory: Path, netns_fd: Callable[[str], int]) -> None:
        self._directory = directory
        self._netns_fd = netns_fd
        self._lock = threading.RLock()
        self._running: dict[tuple[str, ...], _Process] = {}

    def apply(self, changes: Sequence[Change]) -> list[EdgeError | None]:
        """Do all changes (of MkaDaemon objects), the result of each; one that changes begins anew."""
        return [self._apply_one(change) for change in changes]

    def found(self) -> set[MkaDaemon]:
        """Those that run, as they were last configured."""
        with self._lock:
            return {item.wanted for item in self._running.values() if item.alive}

    def pids(self) -> list[int]:
        """Process ids not yet reaped: leave these to us when reaping."""
        with self._lock:
            return [item.process.pid for item in self._running.values()]

    def pidfds(self) -> dict[int, MkaDaemon]:
        """Readable once the process of it ended."""
        with self._lock:
            return {item.pidfd: item.wanted for item in self._running.values()}

    def restart(self, wanted: MkaDaemon) -> None:
        """Start one again that has died, unless it was taken away. Raises EdgeError."""
        with self._lock:
            known = self._running.get(wanted.key)
            if known is not None and known.wanted == wanted and not known.alive:
                self._end(wanted)
                self._start(wanted)

    def _apply_one(self, change: Change) -> EdgeError | None:
        subject = change.subject
        assert isinstance(subject, MkaDaemon)
        try:
            with self._lock:
                self._end(subject)
                if change.action != "delete":
                    self._start(subject)
        except EdgeError as error:
            return error
        except OSError as error:
            return DaemonError(f"{subject}: {error.strerror or error}")
        return None

    def _start(self, wanted: MkaDaemon) -> None:
        fd = self._netns_fd(wanted.at.namespace)
        self._running[wanted.key] = _Process(wanted, self._directory, fd)

    def _end(self, wanted: MkaDaemon) -> None:
        known = self._running.pop(wanted.key, None)
        if known is not None:
            known.close()
