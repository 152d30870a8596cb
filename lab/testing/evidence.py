"""A folder with what somebody needs who was not there when a test failed: lab.evidence, and what tests add.

Its README.txt says what each file is. A frame capture is in it where one was asked for.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from edge.errors import EdgeError
from lab.access import SharedAccess
from lab.api import Lab
from lab.evidence.folder import Folder
from lab.evidence.gather import lab_now

CAPTURE = "capture.pcapng"


def folder_for(base: Path, test: str) -> Path:
    """The folder of a test's evidence, named after its node id."""
    name = re.sub(r"[^A-Za-z0-9._\[\]-]+", "-", test.replace("::", ".")).strip("-.")
    # File names end at 255 octets; the end tells tests of one module apart.
    return base / name[-200:]


def gather(lab: Lab, path: Path, test: str, capture: Path | None = None) -> Path:
    """Write all of it into a new folder at `path`; what cannot be had is told there.

    capture: a file that moves there. Raises OSError when there can be no folder.
    """
    if path.exists():
        shutil.rmtree(path)
    folder = Folder.make(path.parent.absolute(), path.name, f"Lab {lab.name} when {test} failed")
    try:
        folder.json("inspect.json", "nodes, links and sessions, as edgelab inspect shows them", lab.inspect)
        folder.json("faults.json", "what goes wrong in it, by edgelab fault", lab.faults)
        if capture is not None and capture.exists():
            folder.have(CAPTURE, "frames of the test", lambda target: shutil.move(capture, target))
        with lab.connect() as client:
            lab_now(client, SharedAccess(client), folder)
    except EdgeError as error:
        folder.problems.append(f"the lab could not be asked: {error}")
    finally:
        folder.close()
    return folder.path
