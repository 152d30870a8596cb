"""Users' own routers in a lab: what is looked at before anything is made, and what in them is theirs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from edge.errors import CapabilityError, InputError, Problem
from edge.model import Vrf
from edge.net.objects.base import KernelObject
from edge.net.objects.daemons import OwnRouter
from edge.net.objects.routing import DeviceAddress, KernelRoute
from edge.own.kinds import Mount, kind
from lab.model import LabModel


def own_domains(model: LabModel) -> Iterator[Vrf]:
    """The routing domains whose software the user brings."""
    return (vrf for router in model.routers for vrf in router.vrfs if vrf.own is not None)


def preflight(model: LabModel, *, runs_here: bool) -> str:
    """Have each user's own router look at its configuration. Nothing is started and nothing is left.

    runs_here: the lab is to run on this machine, now. Else a machine without the software cannot check,
    and what it lacks is returned in words; empty when all was checked.
    Raises InputError with the lines of the configurations, CapabilityError for a lab that cannot run here.
    """
    problems: list[Problem] = []
    unchecked: dict[str, None] = {}
    for vrf in own_domains(model):
        assert vrf.own is not None
        software = kind(vrf.own.kind)
        try:
            if runs_here:
                software.ready()
            found = software.check(vrf.own.config)
        except CapabilityError as error:
            if runs_here:
                raise
            unchecked[f"{vrf.own.file} is not checked: {error}"] = None
            continue
        problems += (Problem(vrf.own.file, item.line, int(item.line > 0), "", item.words) for item in found)
    if problems:
        raise InputError(problems)
    return "\n".join(unchecked)


def mounts_of(model: LabModel, directory: Path, namespace: str | None) -> tuple[Mount, ...]:
    """What whoever enters a namespace has to see, so that the tools of a user's own router find it.

    directory: see lab.state.RunDirectory.own_routers.
    """
    own = next((vrf.own for vrf in own_domains(model) if vrf.namespace == namespace), None)
    return kind(own.kind).mounts(directory, str(namespace)) if own is not None else ()


def without_theirs(
    found: Iterable[KernelObject], wanted: Iterable[KernelObject], before: Iterable[KernelObject]
) -> set[KernelObject]:
    """What there is, less the addresses and routes that a user's own router has made itself. Pure.

    before: what the lab wanted until now, so that what it made itself goes. A router that is about to start
    anew, with another configuration, has to find nothing of what its last one made.
    """
    everything, goal = set(found), set(wanted)
    stays = {item.namespace for item in everything & goal if isinstance(item, OwnRouter)}
    ours = {item.key for item in (*goal, *before)}
    return {
        item
        for item in everything
        if not (
            isinstance(item, (DeviceAddress, KernelRoute))
            and item.namespace in stays
            and item.key not in ours
        )
    }
