"""Sysctls of namespaces: set, put back, read."""

from __future__ import annotations

import errno
import os
from collections import defaultdict
from collections.abc import Iterable, Sequence

from edge.errors import EdgeError, KernelError
from edge.net import sysctl
from edge.net.objects.devices import Sysctl
from edge.net.spaces import MissingError, Spaces


class Settings:
    """Values under /proc/sys/net of the namespaces of `spaces`. One thread at a time."""

    def __init__(self, spaces: Spaces) -> None:
        self._spaces = spaces
        self._before: dict[tuple[str, str], str] = {}

    def write(self, settings: Sequence[Sysctl]) -> list[EdgeError | None]:
        """Set values, in order within a namespace; the result of each in order.

        The value before the first setting is kept for `restore`.
        """
        results: list[EdgeError | None] = [None] * len(settings)
        for namespace, positions in _by_namespace(settings).items():
            try:
                with self._spaces.inside(namespace):
                    for position in positions:
                        results[position] = self._write(settings[position])
            except MissingError as error:
                for position in positions:
                    results[position] = error
        return results

    def _write(self, setting: Sysctl) -> EdgeError | None:
        try:
            before = sysctl.write(setting.name, setting.value)
        except FileNotFoundError:
            words = (
                f"{setting.device} does not exist" if setting.device else "this kernel has no such setting"
            )
            return KernelError(str(setting), errno.ENOENT, words)
        except (OSError, ValueError) as error:
            number = error.errno or errno.EINVAL if isinstance(error, OSError) else errno.EINVAL
            words = os.strerror(number) if isinstance(error, OSError) else str(error)
            if number == errno.EROFS:
                words = "/proc/sys is read-only here; in a container, run it with --privileged"
            return KernelError(str(setting), number, words)
        self._before.setdefault((setting.namespace, setting.name), before)
        return None

    def restore(self, settings: Sequence[Sysctl]) -> list[EdgeError | None]:
        """Put back the values that were there before `write`; what has gone counts as done."""
        results: list[EdgeError | None] = []
        for setting in settings:
            before = self._before.pop((setting.namespace, setting.name), None)
            error = None
            if before is not None:
                error = self.write([Sysctl(setting.namespace, setting.name, before)])[0]
                self._before.pop((setting.namespace, setting.name), None)
            gone = isinstance(error, KernelError) and error.errno == errno.ENOENT
            results.append(None if gone else error)
        return results

    def forget(self, namespaces: Iterable[str]) -> None:
        """These namespaces have gone, and what was before in them."""
        gone = set(namespaces)
        self._before = {key: value for key, value in self._before.items() if key[0] not in gone}

    def found(self, wanted: Sequence[Sysctl]) -> set[Sysctl]:
        """The settings that `wanted` names, with the values they have now."""
        found = set()
        for namespace, positions in _by_namespace(wanted).items():
            try:
                with self._spaces.inside(namespace):
                    for position in positions:
                        name = wanted[position].name
                        value = sysctl.read(name)
                        if value is not None:
                            found.add(Sysctl(namespace, name, value))
            except MissingError:
                continue
        return found


def _by_namespace(settings: Sequence[Sysctl]) -> dict[str, list[int]]:
    positions: dict[str, list[int]] = defaultdict(list)
    for position, setting in enumerate(settings):
        positions[setting.namespace].append(position)
    return positions
