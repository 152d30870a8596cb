"""Faults from the clients' side: one function to inject, one to heal, one to list."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from edge.errors import DeadlineError, EdgeError
from lab.client import Client

DEADLINE_S = 120.0
"""Longest silence of a lab that carries a fault out; a plan of a thousand steps takes seconds."""

Listener = Callable[[dict[str, Any]], dict[str, Any] | None]


def inject(
    client: Client,
    kind: str,
    target: str,
    options: Mapping[str, str] | None = None,
    *,
    name: str = "",
    dry_run: bool = False,
    on_message: Listener | None = None,
) -> dict[str, Any]:
    """Let something go wrong in the lab that `client` is connected to; it stays until it is healed.

    options: as people write them, {"part": "2%"}. name: to heal it by; made from kind and target when empty.
    Returns the lab's answer: {"fault": {"name", "kind", "target", ...}, "struck", "counts", "seconds"}.
    Raises UsageError with every problem of the words, EdgeError when it could not be done; the lab then is
    as it was.
    """
    fields = {"kind": kind, "target": target, "options": dict(options or {}), "name": name}
    return client.request("fault", on_message, DEADLINE_S, dry_run=dry_run, **fields)


def heal(
    client: Client, names: Iterable[str] | None = None, *, on_message: Listener | None = None
) -> dict[str, Any]:
    """Heal the faults of these names, or all when none are given: {"healed": [...], "counts", "seconds"}.

    Raises UsageError for a name that no active fault has, EdgeError when it could not be done.
    """
    chosen: dict[str, Any] = {"all": True} if names is None else {"names": list(names)}
    return client.request("heal", on_message, DEADLINE_S, **chosen)


def heal_each(client: Client, names: Iterable[str]) -> dict[str, str]:
    """Heal those of these faults that are active, the newest first, one by one; name -> why, of those left.

    What is refused alone is tried again, all of it together, after the others. Raises EdgeError when the lab
    does not tell which faults are active, DeadlineError when it does not answer in time.
    """
    chosen = set(names)
    why: dict[str, str] = {}

    def attempt(*these: str) -> None:
        try:
            heal(client, these)
        except DeadlineError:
            # The answer is still owed, and whoever asked next would take it for theirs.
            raise
        except EdgeError as error:
            why.update(dict.fromkeys(these, str(error)))

    for name in [str(one["name"]) for one in reversed(active(client)) if one["name"] in chosen]:
        attempt(name)
    if len(left := _still(client, why)) > 1:
        attempt(*left)
        left = _still(client, why)
    return {name: why[name] for name in left}


def _still(client: Client, names: Iterable[str]) -> list[str]:
    """Those that are active: somebody else may have healed one."""
    there = {str(one["name"]) for one in active(client)} if names else set()
    return [name for name in names if name in there]


def not_healed(why: Mapping[str, str]) -> str:
    """What could not be healed, a line for each, and the way out."""
    lines = [f"not healed: {name}: {words}" for name, words in why.items()]
    return "\n".join([*lines, "see what is active: edgelab fault list; heal everything: edgelab heal"])


def active(client: Client) -> list[dict[str, Any]]:
    """The lab's active faults, the oldest first."""
    found: list[dict[str, Any]] = client.request("faults")["faults"]
    return found


@contextmanager
def fault(
    client: Client, kind: str, target: str, options: Mapping[str, str] | None = None, *, name: str = ""
) -> Iterator[dict[str, Any]]:
    """A fault for the time of a `with`, healed at its end, whatever happened inside.

    One that heals by itself (crash, restart) is over at once. What somebody else healed meanwhile is healed.
    """
    answer = inject(client, kind, target, options, name=name)
    told = answer["fault"]
    try:
        yield answer
    finally:
        if told["lasting"]:
            # What interrupted the body may have left an answer unread: a connection of its own has none.
            with Client(client.directory) as again:
                heal_if_active(again, told)


def heal_if_active(client: Client, told: Mapping[str, Any]) -> None:
    """Heal the fault that `inject` told of, unless somebody has healed it."""
    if any((one["name"], one["since"]) == (told["name"], told["since"]) for one in active(client)):
        heal(client, [told["name"]])
