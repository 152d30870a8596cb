"""What happens in a lab, as a stream: steps, sessions, links, daemons.

Every event is one JSON object with `time` (seconds since 1970), `kind` and fields of that kind:
`step`, `session`, `link`, `daemon`, `lab`. The supervisor keeps the last ones, so that a reader who
comes late sees how it came to this.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterator
from functools import partial
from typing import Any

HISTORY = 1000


class EventBus:
    """Collects events and hands them to any number of readers, each at its own pace."""

    def __init__(self) -> None:
        self._events: deque[tuple[int, dict[str, Any]]] = deque(maxlen=HISTORY)
        self._count = 0
        self._changed = threading.Condition()
        self._closed = False

    @property
    def count(self) -> int:
        """How many events there have been; pass it to `wait` to learn of newer ones."""
        with self._changed:
            return self._count

    def publish(self, kind: str, **fields: Any) -> None:
        """Add an event and wake all readers."""
        with self._changed:
            self._events.append((self._count, {"time": round(time.time(), 6), "kind": kind, **fields}))
            self._count += 1
            self._changed.notify_all()

    def close(self) -> None:
        """No more events: readers come to their end."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def wait(self, seen: int, timeout_s: float) -> int:
        """Block until there are more than `seen` events, at most timeout_s; returns the count."""
        with self._changed:
            self._changed.wait_for(lambda: self._count > seen or self._closed, timeout_s)
            return self._count

    def _has_news(self, position: int) -> bool:
        return self._count > position or self._closed

    def history(self) -> list[dict[str, Any]]:
        """The events kept, oldest first."""
        with self._changed:
            return [event for _, event in self._events]

    def follow(self, start: int, poll_s: float = 1.0) -> Iterator[dict[str, Any] | None]:
        """Events from number `start` on, as they come; None when poll_s passed without one.

        The None lets a reader notice that its own client has gone.
        """
        position = start
        while True:
            with self._changed:
                self._changed.wait_for(partial(self._has_news, position), poll_s)
                batch = [item for item in self._events if item[0] >= position]
                closed = self._closed
            if not batch:
                if closed:
                    return
                yield None
            for number, event in batch:
                position = number + 1
                yield event
