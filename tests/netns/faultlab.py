"""The reference lab for tests of faults: deployed once for a module, well again after every test."""

from __future__ import annotations

import json
import re
from typing import Any

from labs import CONTOSO, Labs, established, until

ENDS = 6
"""Session ends of customers in contoso: two peerings, one of them with IPv6, on two connections."""

RETURN_S = 60.0
"""How long sessions may take to return: after errors BIRD waits some seconds, and CI is slow."""


def all_established(labs: Labs) -> bool:
    """Whether no session that can be up is down, at either end."""
    view = labs.json("inspect")
    return len(established(view, side="customer")) == ENDS and all(
        one["state"] == "Established" for one in view["sessions"]
    )


def mended(labs: Labs) -> None:
    """Heal all, and prove that nothing is left to do."""
    labs.ok("heal")
    assert labs.json("fault", "list")["active"] == []
    assert_nothing_to_do(labs)


def well_again(labs: Labs) -> None:
    """Heal all, and prove it: no step left to do, every session Established, pings pass."""
    mended(labs)
    until(lambda: all_established(labs), "all sessions return", RETURN_S)
    until(lambda: lost_of(labs, 3) == 0, "pings pass again", 20.0)


def assert_nothing_to_do(labs: Labs) -> None:
    """Kernel and daemons are what is wanted, with the faults that are active."""
    plan = labs.json("deploy", "-t", str(CONTOSO), "--dry-run")
    assert plan["steps"] == []


def link(labs: Labs, name: str) -> dict[str, Any]:
    """A link in `inspect`."""
    return next(item for item in labs.json("inspect")["links"] if item["name"] == name)


def device(labs: Labs, node: str, name: str) -> dict[str, Any]:
    """What the kernel says of a device."""
    found: dict[str, Any] = json.loads(labs.inside("contoso", node, "ip", "-j", "link", "show", name))[0]
    return found


def lost_of(
    labs: Labs, count: int, source: str = "pc1", target: str = "10.50.1.4", interval: str = "0.05"
) -> int:
    """How many of so many pings get no answer."""
    ping = ("ping", "-c", str(count), "-i", interval, "-W", "1", target)
    shown = labs.run("exec", "contoso", source, "--", *ping).stdout
    return count - int(re.findall(r"(\d+) received", shown)[0])


def state_of(labs: Labs, namespace: str, neighbor: str) -> str:
    """The state of the session of a namespace with a neighbour."""
    found = [
        one["state"]
        for one in labs.json("inspect")["sessions"]
        if (one["namespace"], one["neighbor"]) == (namespace, neighbor)
    ]
    assert len(found) == 1, found
    return str(found[0])


def fault_events(labs: Labs) -> list[tuple[str, str]]:
    """(fault's name, what happened to it) of the lab's events."""
    shown = labs.ok("events", "--no-follow", "--format", "json").splitlines()
    events = [json.loads(line) for line in shown]
    return [(one["name"], one["state"]) for one in events if one["kind"] == "fault"]
