"""What routers and kernel say at this moment, as their own programs print it."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import asdict

from edge.errors import CapabilityError, EdgeError
from edge.model import Vrf
from lab.access import LabAccess
from lab.routing import software_name

BIRD_COMMANDS = (
    "show status",
    "show protocols all",
    "show bfd sessions",
    "show route table all all",
    "show route table all filtered all",
)
CUT_OCTETS = 8 << 20
"""Longest text of one router: a flood of prefixes must not fill the disk."""

KERNEL_DEADLINE_S = 30.0
_KERNEL = """
for space; do
  echo "## $space"
  ip -n "$space" -s -d link show
  ip -n "$space" address show
  ip -n "$space" rule show
  ip -n "$space" route show table all
  ip -n "$space" -6 rule show
  ip -n "$space" -6 route show table all
  ip -n "$space" neighbor show
  ip -n "$space" -6 neighbor show
done 2>&1
"""
_HEAD = "## "


def routers_words(access: LabAccess, vrf: Vrf) -> str:
    """What the BGP speaker of a routing domain says of itself. A refused command is part of the answer."""
    return "".join(_said(access, vrf))[:CUT_OCTETS]


def _said(access: LabAccess, vrf: Vrf) -> Iterator[str]:
    yield f"{vrf.namespace}: {software_name(vrf)}\n"
    if vrf.own is not None:
        control = access.own_router(vrf.namespace, vrf.own.kind)
        for state in control.protocols():
            yield "".join(f"\n{key}: {value}" for key, value in asdict(state).items()) + "\n"
        for session in control.bfd_sessions():
            yield f"\n{session}\n"
        return
    bird = access.bird(vrf.namespace)
    for command in BIRD_COMMANDS:
        yield f"\nbird> {command}\n"
        try:
            yield "".join(f"{reply.text}\n" for reply in bird.command(command))
        except EdgeError as error:
            yield f"{error}\n"


def kernel_words(supervisor_pid: int, namespaces: Sequence[str]) -> dict[str, str]:
    """Links with counters, addresses, rules, routes and neighbours by namespace, as `ip` prints them.

    Raises CapabilityError when a program is missing, EdgeError when the lab cannot be entered.
    """
    for program, package in (("nsenter", "util-linux"), ("ip", "iproute2")):
        if shutil.which(program) is None:
            raise CapabilityError(f"{program} is missing", f"apt-get install {package}")
    user = [] if os.geteuid() == 0 else ["--user", "--preserve-credentials"]
    enter = ["nsenter", f"--target={supervisor_pid}", *user, "--mount", "--net"]
    try:
        done = subprocess.run(
            [*enter, "sh", "-c", _KERNEL, "sh", *namespaces],
            capture_output=True,
            timeout=KERNEL_DEADLINE_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise EdgeError(f"the kernel's tables took longer than {KERNEL_DEADLINE_S:.0f} s") from error
    if done.returncode and not done.stdout:
        raise EdgeError(f"the lab cannot be entered: {done.stderr.decode(errors='replace').strip()}")
    found: dict[str, str] = {}
    for part in f"\n{done.stdout.decode(errors='replace')}".split(f"\n{_HEAD}")[1:]:
        name, _, text = part.partition("\n")
        found[name] = text
    return found
