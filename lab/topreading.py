"""Readings for `edgelab top`: sessions and links as `inspect` has them, what devices count, and the events.

Octets of links are read from the kernel by one socket in each namespace, which stays open; nothing of it
passes the supervisor.
"""

from __future__ import annotations

import socket
import time
from typing import Any

from edge.net.netlink import NETLINK_ROUTE, RouteSocket
from edge.net.readings import read_traffic
from lab import inspect
from lab.classes import QueueRow
from lab.client import Client
from lab.state import RunDirectory
from lab.top import EVENTS_KEPT, Octets, Reading
from lab.view import LabView

_CHANGES = ("lab", "service", "step")
"""Events after which a lab may consist of other things than before."""


class Reader:
    """Takes readings of one lab; as a context it closes itself. Raises EdgeError when the lab is gone."""

    def __init__(self, directory: RunDirectory) -> None:
        self._directory = directory
        self._client: Client | None = Client(directory)
        self._changed = 0.0
        self._routes: dict[str, RouteSocket] = {}

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *_: object) -> None:
        self.forget()

    @property
    def running(self) -> bool:
        """Whether the lab is still there."""
        return self._directory.running()

    def forget(self) -> None:
        """Nothing that is known of the lab holds any more: the next reading connects anew."""
        for route in self._routes.values():
            route.close()
        self._routes.clear()
        if self._client is not None:
            self._client.close()
        self._client = None

    @property
    def _lab(self) -> Client:
        if self._client is None:
            self._client = Client(self._directory)
        return self._client

    def read(self) -> Reading:
        """The lab now. Raises EdgeError when its supervisor does not answer."""
        events = self._events()
        view = inspect.collect(self._lab)
        model = self._lab.model
        traffic = self._traffic([space for node in model.nodes for space in node.namespaces])
        return Reading(time.monotonic(), time.time(), view, _queues(view), traffic, events)

    def _events(self) -> tuple[dict[str, Any], ...]:
        """The latest events; when they tell of a change the lab is read anew, with what it consists of now.

        Steps of a deploy are left to `edgelab events`.
        """
        past = list(self._lab.events(history=True, follow=False))
        changed = max((event["time"] for event in past if event["kind"] in _CHANGES), default=0.0)
        if self._changed and changed != self._changed:
            self.forget()
        self._changed = changed
        return tuple(event for event in past if event["kind"] != "step")[-EVENTS_KEPT:]

    def _traffic(self, namespaces: list[str]) -> dict[str, Octets]:
        found: dict[str, Octets] = {}
        for space in namespaces:
            if space not in self._routes:
                sock = self._lab.socket(space, socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_ROUTE)
                self._routes[space] = RouteSocket.over(sock)
            for device, counted in read_traffic(self._routes[space]).items():
                found[f"{space}:{device}"] = Octets(counted.rx_octets, counted.tx_octets)
        return found


def _queues(view: LabView) -> tuple[QueueRow, ...]:
    named = ("at", "tree", "link", "towards", "circuit")
    return tuple(
        QueueRow(
            item["at"],
            item["link"],
            item["towards"],
            item["circuit"],
            **{key: value for key, value in item.items() if key not in named},
        )
        for item in view.queues
    )
