"""Events of a lab in words, a line each. Pure."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any


def event_words(event: Mapping[str, Any]) -> str:
    """An event without its time and kind, in a line."""
    fields = {key: value for key, value in event.items() if key not in ("time", "kind")}
    place = str(fields.pop("namespace", ""))
    kind = event["kind"]
    if kind == "link":
        words = "up" if fields["carrier"] else "no carrier" if fields["up"] else "down"
        return f"{place}:{fields['device']} {words if fields['present'] else 'gone'}"
    if kind == "session":
        return f"{place} {fields.get('protocol', '')}: {fields.get('text', '')}"
    if kind == "service":
        return f"{fields['command']} {', '.join(fields['changes'])}".rstrip()
    return f"{place} {' '.join(f'{key}={value}' for key, value in fields.items())}".strip()


def clock(seconds: float) -> str:
    """A time of the day as this machine tells it, to the millisecond."""
    return f"{time.strftime('%H:%M:%S', time.localtime(seconds))}.{int(seconds * 1000) % 1000:03}"
