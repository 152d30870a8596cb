"""A command to the service of a running lab: the model that it leads to, or the refusal. Pure.

    model (document, State) --apply--> State' --derive--> model' --World.plan--> the steps (lab.requests)

A `deploy` of a changed file does not go this way: the file's orders are carried out on the empty service, and
the running lab becomes what they lead to. The file is the whole truth about a lab that it is deployed as, so
that one file always means one lab: what commands have changed since, and the file does not say, is undone
like everything that somebody changed by hand. Going from the present State to the file's by commands would
make a deploy fail where Azure says no to a change (a bandwidth that shrinks) although the same file starts
anew; who wants to hear that no gives the command. Sessions that neither changes go on in both cases, and
service keys are of names, so that they stay as well.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Any

from edge.bgp.policy import protocol_name
from edge.errors import InputError, UsageError
from lab.model import LabModel
from lab.refused import RefusedError
from lab.service.apply import apply
from lab.service.codec import COMMANDS
from lab.service.commands import Command, CreateCircuit, ReportPrefixes, ResetPeering
from lab.service.refusal import Refusal
from lab.service.state import Event, State
from lab.topology import derive


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an accepted command leads to.

    restarts: (namespace, BIRD protocol) of sessions that begin anew although nothing of theirs changed.
    """

    model: LabModel
    events: tuple[Event, ...]
    restarts: tuple[tuple[str, str], ...] = ()


def order(
    model: LabModel, command: Command, reports: Iterable[ReportPrefixes] = (), site: str = ""
) -> Outcome:
    """Carry out a command on a lab's State and derive the lab anew.

    reports: what the routers count now, for rules that ask (facts 2: no downgrade while usage is above the
    limits). site: where a circuit that is created ends. Raises RefusedError, UsageError for the site.
    """
    state = model.state
    document = _cabled(model, command, site) if site else model.document
    for report in reports:
        told = apply(state, report)
        # A router may count on a session that a rule does not know of any more.
        state = state if isinstance(told, Refusal) else told.state
    outcome = apply(state, command)
    if isinstance(outcome, Refusal):
        raise RefusedError.of(outcome)
    after = _derived(document, outcome.state)
    return Outcome(after, outcome.events, tuple(_restarts(model, after, command)))


def in_scope(model: LabModel, data: object) -> object:
    """A command as data with the lab's own subscription where it has none of its own."""
    if not isinstance(data, dict) or "scope" in data:
        return data
    kind = COMMANDS.get(str(data.get("command")))
    if kind is None or "scope" not in {field.name for field in fields(kind)}:
        return data
    return {**data, "scope": {"subscription": model.name, "resource_group": model.name}}


def _cabled(model: LabModel, command: Command, site: str) -> dict[str, Any]:
    """The document with a new circuit at a site: that is the customer's side, of which no State knows."""
    sites = model.document["sites"]
    if not isinstance(command, CreateCircuit):
        raise UsageError("only a circuit that is created ends at a site; take the site out")
    if site not in sites:
        raise UsageError(f"there is no site {site}; there is {', '.join(sites)}")
    if not sites[site]["edges"]:
        raise UsageError(f"site {site} has no edge router; add edges to the topology file and deploy it")
    if command.name in sites[site]["circuits"]:
        return model.document
    changed = {**sites[site], "circuits": [*sites[site]["circuits"], command.name]}
    return {**model.document, "sites": {**sites, site: changed}}


def _derived(document: dict[str, Any], state: State) -> LabModel:
    """The lab with another State. Raises RefusedError when the lab's own parts cannot be built from it."""
    try:
        return derive(document, state)
    except InputError as error:
        raise RefusedError.of_lab(error) from error


def _restarts(before: LabModel, after: LabModel, command: Command) -> Iterable[tuple[str, str]]:
    """The MSEEs' customer sessions of a peering that is reset, as far as they were open (facts 2.1)."""
    if not isinstance(command, ResetPeering):
        return
    there = {
        (vrf.namespace, session)
        for router in before.routers
        for vrf in router.vrfs
        for session in vrf.sessions
    }
    ours = {
        end.namespace
        for end in after.peering_ends
        if (end.circuit, end.peering, end.side) == (command.circuit, command.peering, "microsoft")
    }
    for router in after.routers:
        for vrf in router.vrfs:
            for session in vrf.sessions if vrf.namespace in ours else ():
                if session.enabled and session.group == "customer" and (vrf.namespace, session) in there:
                    yield vrf.namespace, protocol_name(session)
