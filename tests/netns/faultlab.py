"""The reference lab for tests of faults: deployed once for a module, well again after every test.

What is asked often is asked by a client in the test's own process; commands are for what commands do.
"""

from __future__ import annotations

import json
import re
from typing import Any

from labs import CONTOSO, Labs, until

from lab.client import Client
from lab.faults import calls
from lab.inspect import collect
from lab.report.json import inspect_json
from lab.state import RunDirectory
from lab.topology import load

RETURN_S = 60.0
"""How long sessions may take to return: after errors BIRD waits some seconds, and CI is slow."""


def connect(labs: Labs) -> Client:
    """A client of the lab."""
    return Client(RunDirectory(labs.directory / "contoso"))


def view(labs: Labs) -> dict[str, Any]:
    """What `inspect --format json` prints."""
    with connect(labs) as client:
        return inspect_json(collect(client))


def status(labs: Labs) -> dict[str, Any]:
    """What only the supervisor can read."""
    with connect(labs) as client:
        return client.status()


def events(labs: Labs) -> list[dict[str, Any]]:
    """All events that the lab has kept."""
    with connect(labs) as client:
        return list(client.events(history=True, follow=False))


def active(labs: Labs) -> list[str]:
    """The names of the active faults."""
    with connect(labs) as client:
        return [str(one["name"]) for one in calls.active(client)]


def mended(labs: Labs) -> None:
    """Heal all, and prove that nothing is left to do."""
    with connect(labs) as client:
        calls.heal(client)
    assert active(labs) == []
    assert_nothing_to_do(labs)


def well_again(labs: Labs) -> None:
    """Heal all, and prove it: no step left to do, every session Established, pings pass."""
    mended(labs)
    with connect(labs) as client:
        assert client.request("wait", None, RETURN_S + 30.0, wait_s=RETURN_S)["pending"] == []
    until(lambda: lost_of(labs, 3) == 0, "pings pass again", 20.0)


def assert_nothing_to_do(labs: Labs) -> None:
    """Kernel and daemons are what is wanted, with the faults that are active."""
    with connect(labs) as client:
        document = load(CONTOSO).document
        assert client.request("apply", document=document, dry_run=True)["plan"]["steps"] == []


def link(labs: Labs, name: str) -> dict[str, Any]:
    """A link in `inspect`."""
    return next(item for item in view(labs)["links"] if item["name"] == name)


def device(labs: Labs, node: str, name: str) -> dict[str, Any]:
    """What the kernel says of a device."""
    shown = labs.inside("contoso", node, "ip", "-j", "-s", "link", "show", name)
    found: dict[str, Any] = json.loads(shown)[0]
    return found


def without_carrier(labs: Labs, node: str, name: str) -> bool:
    """Whether the kernel says NO-CARRIER of a device: it does so a moment late."""
    return "NO-CARRIER" in device(labs, node, name)["flags"]


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
        for one in view(labs)["sessions"]
        if (one["namespace"], one["neighbor"]) == (namespace, neighbor)
    ]
    assert len(found) == 1, found
    return str(found[0])


def fault_events(labs: Labs, since: float = 0.0) -> list[tuple[str, str]]:
    """(fault's name, what happened to it) of the lab's events from a time on (of time.time()).

    By time, since a lab lets its oldest events go: their number says nothing.
    """
    told = (one for one in events(labs) if one["kind"] == "fault" and one["time"] >= since)
    return [(one["name"], one["state"]) for one in told]
