"""The named namespaces of one directory, each with its descriptor, its netlink socket and its indexes.

Interface indexes are unique over all namespaces of the directory: one BPF map then serves them all, a
veth names its peer without doubt, and the kernel reports carrier changes at once (it delays them up to
a second when a device and its peer bear one index, see linkwatch_urgent_event in net/core/link_watch.c).
"""

from __future__ import annotations

import contextlib
import errno
import os
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path

from edge.errors import EdgeError, KernelError
from edge.net import messages as nl
from edge.net import namespaces as ns
from edge.net.netlink import Refusal, RouteSocket
from edge.net.objects.base import Endpoint
from edge.net.snapshot import Link, parse_link

_FIRST_INDEX = 1000
"""Above those that the kernel hands out itself, for example to tunnel devices a namespace is born with."""


class MissingError(KernelError):
    """A namespace or a device that a request needs does not exist."""


class Spaces:
    """Namespaces by name. `fd` and `inside` may be called by any thread, the rest by one at a time."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._guard = threading.Lock()
        self._fds: dict[str, tuple[int, tuple[int, int]]] = {}
        self._routes: dict[str, RouteSocket] = {}
        self._indexes: dict[str, dict[str, int]] = {}
        self._next_index = _FIRST_INDEX

    def close(self) -> None:
        """Close every descriptor and socket; the namespaces stay."""
        for name in list(self._fds):
            self._forget(name)

    def names(self) -> list[str]:
        """Namespaces that exist, sorted; a file that is none (a left-over of `ip netns`) is not listed."""
        try:
            entries = sorted(path.name for path in self.directory.iterdir())
        except FileNotFoundError:
            entries = []
        names = []
        for name in entries:
            try:
                self.fd(name)
            except MissingError:
                continue
            names.append(name)
        for name in set(self._fds) - set(names):
            self._forget(name)
        return names

    def fd(self, name: str) -> int:
        """Descriptor of a namespace, valid until it is deleted. Raises MissingError."""
        with self._guard:
            return self._fd(name)

    def _fd(self, name: str) -> int:
        path = self.directory / name
        try:
            status = path.stat()
            identity = (status.st_dev, status.st_ino)
            known = self._fds.get(name)
            if known is not None and known[1] == identity:
                return known[0]
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError as error:
            raise MissingError(f"namespace {name}", errno.ENOENT, "does not exist") from error
        try:
            with ns.inside(fd):
                pass
        except OSError as error:
            os.close(fd)
            raise MissingError(f"namespace {name}", errno.EINVAL, f"{path} is no namespace") from error
        # The name was given to another namespace behind our back: what we knew is void.
        self._drop(name)
        self._fds[name] = (fd, identity)
        return fd

    def route(self, name: str) -> RouteSocket:
        """The netlink socket in a namespace. Raises MissingError."""
        found = self._routes.get(name)
        if found is None:
            found = self._routes[name] = RouteSocket(self.fd(name))
        return found

    @contextlib.contextmanager
    def inside(self, name: str) -> Iterator[None]:
        """Run the block with the calling thread in the namespace. Raises MissingError."""
        with self._guard:
            fd = os.dup(self._fd(name))
        try:
            with ns.inside(fd):
                yield
        finally:
            os.close(fd)

    def create(self, names: Iterable[str]) -> dict[str, EdgeError | None]:
        """Make namespaces with their loopback up; the result of each by name."""
        # Not in threads: the kernel's own locks and ours make two no faster than one (measured, paired).
        return {name: self._create(name) for name in names}

    def _create(self, name: str) -> EdgeError | None:
        what = f"namespace {name}"
        try:
            fd = ns.create_named(name, self.directory)
        except FileExistsError:
            return KernelError(what, errno.EEXIST, "exists already")
        except OSError as error:
            return KernelError(what, error.errno or 0, f"the kernel refuses it: {error}")
        status = os.fstat(fd)
        route = RouteSocket(fd)
        with self._guard:
            self._fds[name] = (fd, (status.st_dev, status.st_ino))
            self._routes[name] = route
            self._indexes[name] = {"lo": nl.LOOPBACK_INDEX}
        refused = route.transact([nl.set_up(nl.LOOPBACK_INDEX, True)])[0]
        return KernelError(f"{name}:lo", refused.errno, str(refused)) if refused else None

    def delete(self, name: str) -> EdgeError | None:
        """Take a namespace's name away and let go of it. One that is gone counts as done."""
        self._forget(name)
        try:
            ns.delete_named(name, self.directory)
        except OSError as error:
            return KernelError(f"namespace {name}", error.errno or 0, str(error))
        return None

    def _forget(self, name: str) -> None:
        with self._guard:
            self._drop(name)

    def _drop(self, name: str) -> None:
        known = self._fds.pop(name, None)
        if known is not None:
            os.close(known[0])
        route = self._routes.pop(name, None)
        if route is not None:
            route.close()
        self._indexes.pop(name, None)

    def index(self, at: Endpoint) -> int:
        """Index of a device, asked of the kernel unless known. Raises MissingError."""
        route = self.route(at.namespace)
        known = self._indexes.setdefault(at.namespace, {})
        if at.device not in known:
            answer = route.ask(nl.get_link(at.device))
            if isinstance(answer, Refusal):
                raise MissingError(str(at), answer.errno, f"namespace {at.namespace} has no such device")
            known[at.device] = parse_link(answer.payload).index
        return known[at.device]

    def exists(self, at: Endpoint) -> bool:
        """Whether the kernel has the device now, whatever we remember."""
        self.forget_index(at)
        try:
            self.index(at)
        except MissingError:
            return False
        return True

    def allocate(self, at: Endpoint) -> int:
        """An index for a device about to be made, remembered as its index."""
        index = self._next_index
        self._next_index += 1
        self._indexes.setdefault(at.namespace, {})[at.device] = index
        return index

    def forget_index(self, at: Endpoint) -> None:
        """The device has gone, or was never made."""
        self._indexes.get(at.namespace, {}).pop(at.device, None)

    def forget_indexes(self, name: str) -> None:
        """Devices of a namespace have gone that we believed in: ask again for each."""
        self._indexes.pop(name, None)

    def learn(self, name: str, links: Iterable[Link]) -> None:
        """Take the indexes of a namespace from a fresh dump; new ones will lie above them."""
        self._indexes[name] = {link.name: link.index for link in links}
        self._next_index = max([self._next_index, *(i + 1 for i in self._indexes[name].values())])

    def relearn(self) -> None:
        """Read the indexes of all namespaces again."""
        for name in self.names():
            links = self.route(name).dump(nl.dump_links())
            self.learn(name, [parse_link(message.payload) for message in links])
