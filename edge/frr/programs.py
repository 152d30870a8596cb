"""Where FRR's programs are, and which of them a router runs."""

from __future__ import annotations

import os
import pwd
import shutil
from pathlib import Path
from typing import Final

from edge.errors import CapabilityError

USER: Final = "frr"
"""Whom the daemons change to. They insist on it, and on its group frrvty (FRR, lib/privs.c)."""

DIRECTORIES: Final = ("/usr/lib/frr", "/usr/libexec/frr", "/usr/local/lib/frr", "/usr/sbin")
"""Where distributions keep the daemons: none is in PATH."""

FIRST: Final = ("mgmtd", "zebra")
"""What the others talk to, so it runs before them; mgmtd is of FRR 9 and later."""

OTHERS: Final = ("staticd", "bfdd", "bgpd")
OPTIONAL: Final = frozenset({"mgmtd"})

_REMEDY: Final = "apt-get install frr"


def daemons() -> dict[str, str]:
    """The daemons of a router in the order of their start: name -> path.

    Raises CapabilityError with the way to install them.
    """
    found = {}
    for name in (*FIRST, *OTHERS):
        path = shutil.which(name, path=os.pathsep.join(DIRECTORIES))
        if path is not None:
            found[name] = path
        elif name not in OPTIONAL:
            raise CapabilityError(f"FRR is not installed (there is no {name})", _REMEDY)
    return found


def vtysh() -> str:
    """The path of vtysh. Raises CapabilityError."""
    path = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/bin", "/usr/sbin", "/usr/local/bin"))
    found = shutil.which("vtysh", path=path)
    if found is None:
        raise CapabilityError("FRR is not installed (there is no vtysh)", _REMEDY)
    return found


def owner() -> tuple[int, int]:
    """User and group id of FRR's own user.

    Raises CapabilityError when there is none, or when it has no place in this user namespace: that of a
    lab without root holds one user.
    """
    try:
        entry = pwd.getpwnam(USER)
    except KeyError:
        raise CapabilityError(f"FRR's user {USER} does not exist", _REMEDY) from None
    if not is_mapped(Path("/proc/self/uid_map").read_text(encoding="ascii"), entry.pw_uid):
        raise CapabilityError(*WITHOUT_ROOT)
    return entry.pw_uid, entry.pw_gid


WITHOUT_ROOT: Final = (
    "FRR runs as its own user, and a lab without root has only yours",
    "deploy the lab as root, or let BIRD play this edge: write its name alone under edges",
)


def is_mapped(uid_map: str, uid: int) -> bool:
    """Whether a user id exists in the user namespace with this map (user_namespaces(7)). Pure."""
    spans = [tuple(map(int, line.split())) for line in uid_map.splitlines()]
    return any(first <= uid < first + count for first, _, count in spans)
