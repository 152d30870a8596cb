"""The names that a lab's hosts answer to. Pure."""

from __future__ import annotations

from lab.names import table
from lab.names.plan import FrontEnd, Names
from lab.topology.schema import Topology


def names_of(topology: Topology, core: bool) -> Names | None:
    """The names of a lab that has an Internet; None when the file does not ask for them.

    core: whether there is a Microsoft peering, and so Microsoft's front ends.
    """
    if not topology.internet.names:
        return None
    hosts = topology.internet.hosts
    inside = tuple(
        FrontEnd(
            end.name, end.title, tuple(a.ip for a in end.front_end), table.names_of(end), reached="microsoft"
        )
        for end in (table.front_ends(names=True) if core else ())
    )
    outside = tuple(
        FrontEnd(end.name, end.title, tuple(hosts[end.name]), end.names, reached="internet")
        for end in table.INTERNET
    )
    return Names(table.RESOLVER, hosts[table.RESOLVER][0], (*inside, *outside))
