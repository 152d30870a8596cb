"""Wait for the network to change: routes and links of the routing domains, as the kernel tells.

A check that failed is worth repeating when something has changed. What changes no route and no link
(a daemon that is started, say) is met by a bounded pause.
"""

from __future__ import annotations

import os
import select
import socket
import threading
import time
from collections.abc import Iterable

from edge.errors import EdgeError
from lab.access import LabAccess

_RTMGRP_LINK, _RTMGRP_IPV4_ROUTE, _RTMGRP_IPV6_ROUTE = 0x1, 0x40, 0x400
_GROUPS = _RTMGRP_LINK | _RTMGRP_IPV4_ROUTE | _RTMGRP_IPV6_ROUTE


class ChangeWatch:
    """Counts changes in some namespaces. Listens from the first `wait` on; safe for threads."""

    def __init__(self, access: LabAccess, namespaces: Iterable[str]) -> None:
        self._access = access
        self._namespaces = tuple(namespaces)
        self._changed = threading.Condition()
        self._count = 0
        self._cancelled = False
        self._thread: threading.Thread | None = None
        self._stop_fd = os.eventfd(0, os.EFD_CLOEXEC)

    def __enter__(self) -> ChangeWatch:
        return self

    def __exit__(self, *_: object) -> None:
        self.cancel()
        if self._thread is not None:
            self._thread.join()
        os.close(self._stop_fd)

    @property
    def count(self) -> int:
        """How many changes there were so far."""
        with self._changed:
            return self._count

    @property
    def cancelled(self) -> bool:
        """Whether nobody waits for the results any more."""
        with self._changed:
            return self._cancelled

    def cancel(self) -> None:
        """Wake everybody up for good."""
        with self._changed:
            self._cancelled = True
            self._changed.notify_all()
        os.eventfd_write(self._stop_fd, 1)

    def wait(self, seen: int, seconds: float) -> None:
        """Return when there was a change after the count `seen`, or after `seconds`."""
        end = time.monotonic() + seconds
        with self._changed:
            if self._thread is None and not self._cancelled:
                sockets = self._listen()
                self._thread = threading.Thread(target=self._run, args=(sockets,), daemon=True)
                self._thread.start()
            self._changed.wait_for(
                lambda: self._cancelled or self._count != seen, max(0.0, end - time.monotonic())
            )

    def _listen(self) -> dict[int, socket.socket]:
        sockets: dict[int, socket.socket] = {}
        for namespace in self._namespaces:
            try:
                sock = self._access.socket(
                    namespace, socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE
                )
            except EdgeError:
                continue  # a namespace that is gone changes no more; the checks themselves will say it
            sockets[sock.fileno()] = sock
            sock.setblocking(False)
            sock.bind((0, _GROUPS))
        return sockets

    def _run(self, sockets: dict[int, socket.socket]) -> None:
        poller = select.poll()
        for fd in (*sockets, self._stop_fd):
            poller.register(fd, select.POLLIN)
        try:
            while True:
                ready = [fd for fd, _ in poller.poll()]
                if self._stop_fd in ready:
                    return
                for fd in ready:
                    _drain(sockets[fd])
                with self._changed:
                    self._count += 1
                    self._changed.notify_all()
        finally:
            for sock in sockets.values():
                sock.close()


def _drain(sock: socket.socket) -> None:
    while True:
        try:
            sock.recv(65536)
        except BlockingIOError:
            return
        except OSError:
            # ENOBUFS: messages were lost; that something changed is all we need. The error is cleared
            # by being reported, and what still waits keeps the socket readable.
            return
