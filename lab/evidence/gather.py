"""Gather the evidence of checks that failed: each is tried once more under a capture, then all is asked."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from edge.errors import EdgeError, UsageError
from edge.model import Vrf
from lab.access import LabAccess, SharedAccess
from lab.baseline.drift import Drift
from lab.captureplaces import Wanted
from lab.checks.looks import BREAKING, look_of
from lab.checks.result import CheckResult, Verdict, title
from lab.client import Client
from lab.evidence.folder import Folder
from lab.evidence.scene import places_of, slug
from lab.evidence.witness import kernel_words, routers_words
from lab.report.json import checks_json, kind_of
from lab.ringcapture import RingCapture
from lab.service.codec import encode_state

AGAIN_S = 3.0
"""How long a failed check is tried once more."""

MOST_AGAIN = 12
"""Checks tried again: where more have failed, they failed of the same."""

CAPTURE_OCTETS = 16 << 20
CAPTURE_SNAPLEN = 2048
LOG_OCTETS = 4 << 20
MOST_NAMESPACES = 200
WORKERS = 4


@dataclass(frozen=True, slots=True)
class Evidence:
    """Where it lies, None when there is none. problems: what is missing of it, in words."""

    folder: Path | None
    problems: tuple[str, ...] = ()

    @property
    def words(self) -> str:
        """One line for people, or some."""
        if self.folder is None:
            return f"evidence could not be written: {'; '.join(self.problems)}"
        lines = [f"evidence: {self.folder}"]
        lines += [f"evidence is incomplete: {problem}" for problem in self.problems]
        return "\n".join(lines)


def gather(
    client: Client, results: Sequence[CheckResult], base: Path, drift: Sequence[Drift] | None = None
) -> Evidence:
    """Write the evidence of the failed ones among `results` into a new folder in `base`; of drift, too.

    Never raises for what cannot be had or written: the checks' results do not depend on it.
    """
    model = client.model
    failed = [(n, result) for n, result in enumerate(results, 1) if not result.ok]
    stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime())
    words = f"Lab {model.name}: {len(failed)} of {len(results)} checks failed, {stamp} UTC"
    try:
        folder = Folder.make(base.absolute(), f"{model.name}-{stamp}", words)
    except OSError as error:
        return Evidence(None, (f"{error.strerror or error} ({error.filename or base})",))
    try:
        folder.json("results.json", "what all checks came to", lambda: checks_json(model.name, results))
        if drift:
            words = "how the lab differs from the baseline"
            folder.json("drift.json", words, lambda: {"version": 1, "drift": [d.to_json() for d in drift]})
        shared = SharedAccess(client)
        # What breaks the lab is not tried again, or the evidence would be of a lab broken twice.
        harmless = [(n, result) for n, result in failed if not isinstance(result.check, BREAKING)]
        for number, result in harmless[:MOST_AGAIN]:
            _again(shared, folder, number, result)
        lab_now(client, shared, folder)
    finally:
        folder.close()
    return Evidence(folder.path, tuple(folder.problems))


def _again(access: LabAccess, folder: Folder, number: int, result: CheckResult) -> None:
    """Try a check once more while the links that matter are captured."""
    if folder.full:
        return
    name = slug(number, title(result.check))
    places = places_of(access.model, result.check)
    verdict = None
    try:
        wanted = [Wanted(place) for place in places]
        with RingCapture(access, wanted, octets=CAPTURE_OCTETS, snaplen=CAPTURE_SNAPLEN) as ring:
            verdict = _look(access, result)
            where = ", ".join(dict.fromkeys(place.label for place in places))
            what = f"frames on {where} while the check was tried again"
            folder.have(f"{name}.pcapng", what, ring.write)
    except (EdgeError, OSError) as error:
        folder.problems.append(f"{name}.pcapng could not be captured: {error}")
    again = verdict or _look(access, result)
    held = ", which held then" if again.ok else ""
    folder.json(
        f"{name}.json",
        f"what {title(result.check)} came to, and what when it was tried again{held}",
        lambda: {
            "version": 1,
            "kind": kind_of(result),
            "name": title(result.check),
            "ok": result.ok,
            "words": result.words,
            "evidence": result.evidence,
            "again": {"ok": again.ok, "words": again.words, "evidence": again.evidence},
        },
    )


def _look(access: LabAccess, result: CheckResult) -> Verdict:
    try:
        return look_of(access, result.check, lambda: False)(AGAIN_S)
    except (UsageError, EdgeError, OSError) as error:
        return Verdict(False, str(error))


def lab_now(client: Client, access: LabAccess, folder: Folder) -> None:
    """The lab as it is now: topology, routers, kernel, counters, events and log."""
    model = client.model
    what = "the topology that the lab runs, keys included: edgelab deploy -t takes it"
    folder.json("topology.edge.yml", what, lambda: model.document)
    folder.json("service.json", "what is ordered now", lambda: encode_state(model.state))
    with ThreadPoolExecutor(WORKERS) as pool:
        said = {vrf: pool.submit(routers_words, access, vrf) for vrf in _speakers(access)}
        for vrf, words in said.items():
            what = f"protocols, BFD and routes of {vrf.namespace}, as its router tells them"
            folder.write(f"routers/{vrf.namespace}.txt", what, words.result)
    _kernel(client, folder)
    what = "queues, policers, markings, links, neighbours and daemons, as the supervisor reads them"
    folder.json("status.json", what, access.status)
    events = partial(_events, client)
    folder.json("events.json", "what has happened in the lab", events)
    folder.write("supervisor.log", "the lab's log, and its daemons'", lambda: _tail(client.directory.log))


def _speakers(access: LabAccess) -> list[Vrf]:
    return [vrf for router in access.model.routers for vrf in router.vrfs if vrf.sessions]


def _kernel(client: Client, folder: Folder) -> None:
    spaces = [space for node in client.model.nodes for space in node.namespaces][:MOST_NAMESPACES]
    try:
        found = {} if folder.full else kernel_words(client.supervisor_pid, spaces)
    except (EdgeError, OSError) as error:
        folder.problems.append(f"the kernel's tables could not be read: {' '.join(str(error).split())}")
        return
    for space, text in found.items():
        what = f"links, addresses, rules, routes and neighbours of {space}, as ip prints them"
        folder.write(f"kernel/{space}.txt", what, text.encode)


def _events(client: Client) -> dict[str, object]:
    # A connection of its own: following events would be the last that it is good for.
    with Client(client.directory) as other:
        return {"version": 1, "events": list(other.events(history=True, follow=False))}


def _tail(path: Path) -> bytes:
    with path.open("rb") as log:
        log.seek(0, 2)
        log.seek(max(0, log.tell() - LOG_OCTETS))
        return log.read()
