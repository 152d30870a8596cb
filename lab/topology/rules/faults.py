"""The script of faults: each fits the lab as it is at its time, and no two of one name are active at once."""

from __future__ import annotations

from edge.errors import UsageError
from lab.faults.kinds import KINDS
from lab.faults.rehearsal import Taken, Unhealed, Unmade, rehearse
from lab.faults.schedule import Scripted, overlapping
from lab.faults.telling import cannot_end
from lab.topology.derivation import build
from lab.topology.rules.context import Context
from lab.topology.scripts import entry


def check(context: Context) -> None:
    """Report what is wrong with the script. Runs last: targets are known once all else is right."""
    found: dict[int, Scripted] = {}
    whole = not context.problems and not context.cut
    for number, spec in enumerate(context.topology.faults):
        if context.is_cut("faults", number):
            continue
        path = ("faults", number)
        if spec.lasts is not None and not KINDS[spec.kind].lasting:
            words = f"{spec.kind} is over at once and heals by itself"
            context.report((*path, "for"), words, "take `for` out", at_key=True)
        try:
            found[number] = entry(spec, [] if spec.name else [one.fault.name for one in found.values()])
        except UsageError as error:
            for line in str(error).splitlines():
                words, _, hint = line.partition("; ")
                context.report((*path, "options") if spec.options else path, words, hint)
    if not whole or not found:
        return
    numbers = list(found)
    taken = set(overlapping(found.values()))
    for snag in rehearse(build(context.topology, context.state), found.values()):
        path = ("faults", numbers[snag.number])
        match snag:
            case Unmade():
                for line in snag.why:
                    words, _, hint = line.partition("; ")
                    context.report((*path, "target"), words, hint)
            case Taken():
                taken.add(snag.number)
            case Unhealed():
                keepers = " and ".join(one.active.fault.name for one in snag.kept)
                hint = f"give {keepers} an end as well, or this one none"
                context.report((*path, "for"), cannot_end(snag.together, snag.kept), hint)
    for place in sorted(taken):
        number = numbers[place]
        words = f"a fault {found[number].fault.name} is still active at that time"
        context.report(("faults", number), words, "give it another name, or end the other one before")
