"""Checks of names: does a node's nameserver know it, and which way does the question go."""

from __future__ import annotations

import os
import socket
import time
from typing import Any, Literal

from edge.errors import UsageError
from edge.model import Address
from lab.access import LabAccess
from lab.checks.reach import TRACE_S, judge_path
from lab.checks.result import Verdict
from lab.hops import explain_path
from lab.lookup import source_namespace
from lab.model import LabModel, NameCheck, PathCheck
from lab.names import query
from lab.names.plan import Names
from lab.trace import trace

ASK_S = 0.6
"""Longest wait for an answer, seconds."""

_ANSWER_MAX = 4096


def look_at_name(access: LabAccess, check: NameCheck, seconds: float) -> Verdict:
    """Ask once, as a program in the node would, and follow the question. Raises UsageError."""
    namespace = source_namespace(access.model, check.source)
    names = names_of(access.model)
    end = time.monotonic() + seconds
    said = resolve(access, namespace, names.address, check.name, check.family, min(ASK_S, seconds))
    path = None
    if said is not None and check.via:
        left = max(0.1, min(TRACE_S, end - time.monotonic()))
        path = trace(access, namespace, names.address, protocol="udp", port=query.PORT, deadline_s=left)
    verdict = judge_answer(check, names.address, said)
    if path is None or not verdict.ok:
        return verdict
    asked = PathCheck(check.source, str(names.address), check.via)
    way = judge_path(asked, path, explain_path(access.model, path, namespace))
    return Verdict(way.ok, f"{verdict.words}; {way.words}", {**verdict.evidence, **way.evidence})


def names_of(model: LabModel) -> Names:
    """The lab's names. Raises UsageError when it has none."""
    if model.names is None:
        raise UsageError("this lab has no names; write internet: {names: true} in its topology")
    return model.names


def resolve(
    access: LabAccess, namespace: str, server: Address, name: str, version: Literal[4, 6], seconds: float
) -> query.Answer | None:
    """A nameserver's answer to one question from inside a node; None when none comes. Raises UsageError."""
    number = int.from_bytes(os.urandom(2), "big")
    try:
        asked = query.question(name, version, number)
    except ValueError as error:
        raise UsageError(str(error)) from error
    family = socket.AF_INET if server.version == 4 else socket.AF_INET6
    end = time.monotonic() + seconds
    with access.socket(namespace, family, socket.SOCK_DGRAM, 0) as opened:
        try:
            opened.connect((str(server), query.PORT))
            opened.send(asked)
            while (left := end - time.monotonic()) > 0:
                opened.settimeout(left)
                said = query.answer(opened.recv(_ANSWER_MAX), version, number)
                if said is not None:
                    return said
        except OSError:
            # Refused, no route, or silence: in each case nobody answered.
            return None
    return None


def judge_answer(check: NameCheck, server: Address, said: query.Answer | None) -> Verdict:
    """Whether the answer is what the check wants. Pure."""
    evidence: dict[str, Any] = {"server": str(server), "addresses": [], "answer": ""}
    where = f"name {check.name} at {check.source}"
    if said is None:
        return Verdict(False, f"{where}: nameserver {server} does not answer", evidence)
    evidence |= {"addresses": [str(one) for one in said.addresses], "answer": said.words}
    found = ", ".join(map(str, said.addresses))
    if not check.present and not said.settled:
        return Verdict(False, f"{where}: {said.words} proves nothing about the name", evidence)
    if not check.present:
        words = f"{where} is {found}, and should not be" if found else f"{where}: {said.words}"
        return Verdict(not found, words, evidence)
    if not found:
        words = said.words if said.rcode else f"it has no IPv{check.family} address"
        return Verdict(False, f"{where}: {words}", evidence)
    return Verdict(True, f"{where} is {found}", evidence)
