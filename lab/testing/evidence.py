"""A folder with what somebody needs who was not there when a test failed.

inspect.json    nodes, links, sessions, as `edgelab inspect --format json` prints them
status.json     daemons, links and counters, as the supervisor knows them
topology.json   what was deployed; service.json: what is ordered now
events.jsonl    what happened, one event a line
bird/           each BIRD's configuration, protocols and routes
routes.txt      the kernel's routes, node by node
supervisor.log  what supervisor and daemons wrote
capture.pcapng  frames of the test, where a capture was asked for
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

from edge.errors import EdgeError
from lab import apart
from lab.api import Lab
from lab.service.codec import encode_state

READ_DEADLINE_S = 30.0

_ROUTES = (
    "for node in $(ip netns list | cut -d' ' -f1 | sort); do for family in -4 -6; do "
    'echo "== $node $family"; ip -n "$node" "$family" route show table all; done; done'
)


def folder_for(base: Path, test: str) -> Path:
    """The folder of a test's evidence, named after its node id."""
    name = re.sub(r"[^A-Za-z0-9._\[\]-]+", "-", test.replace("::", ".")).strip("-.")
    # File names end at 255 octets; the end tells tests of one module apart.
    return base / name[-200:]


def gather(lab: Lab, folder: Path) -> Path:
    """Write all of it; what cannot be read any more says why in its place. Raises OSError for the folder."""
    if folder.exists():
        shutil.rmtree(folder)
    (folder / "bird").mkdir(parents=True)
    parts: dict[str, Callable[[], str]] = {
        "inspect.json": lambda: _json(lab.inspect()),
        "status.json": lambda: _json(lab.status()),
        "faults.json": lambda: _json(lab.faults()),
        "topology.json": lambda: _json(lab.model.document),
        "service.json": lambda: _json(encode_state(lab.model.state)),
        "events.jsonl": lambda: "".join(json.dumps(event) + "\n" for event in lab.events()),
        "routes.txt": lambda: _kernel_routes(lab),
        "supervisor.log": lambda: lab.directory.log.read_text(encoding="utf-8", errors="replace"),
    }
    for name, read in parts.items():
        _write(folder / name, read)
    _birds(lab, folder / "bird")
    return folder


def _write(path: Path, read: Callable[[], str]) -> None:
    try:
        text = read()
    except (EdgeError, OSError, subprocess.SubprocessError) as error:
        text = f"could not be read: {error}\n"
    path.write_text(text, encoding="utf-8")


def _json(data: Any) -> str:
    return json.dumps(data, indent=2) + "\n"


def _kernel_routes(lab: Lab) -> str:
    with lab.connect() as client:
        words = apart.entering(client.supervisor_pid, None, ["sh", "-c", _ROUTES])
    done = subprocess.run(
        words,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=READ_DEADLINE_S,
        check=False,
    )
    return done.stdout


def _birds(lab: Lab, folder: Path) -> None:
    try:
        with lab.connect() as client:
            speaking = [
                vrf.namespace
                for router in client.model.routers
                for vrf in router.vrfs
                if vrf.sessions and vrf.own is None
            ]
    except EdgeError as error:
        (folder / "README").write_text(f"could not be asked: {error}\n", encoding="utf-8")
        return
    for namespace in speaking:
        _write(folder / f"{namespace}.txt", lambda namespace=namespace: _bird(lab, namespace))  # type: ignore[misc]
    for config in sorted(lab.directory.bird.glob("*.conf")):
        _write(folder / config.name, lambda config=config: config.read_text(encoding="utf-8"))  # type: ignore[misc]


def _bird(lab: Lab, namespace: str) -> str:
    with lab.connect() as client:
        bird = client.bird(namespace)
    told = []
    for command in ("show status", "show protocols all", "show bfd sessions", "show route table all all"):
        told += [f"bird> {command}", *(reply.text for reply in bird.command(command)), ""]
    return os.linesep.join(told)
