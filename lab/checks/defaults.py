"""What every lab should do, for a topology that lists no checks. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

from lab.model import Check, LabModel, PingCheck, SessionsCheck


def default_checks(model: LabModel) -> tuple[Check, ...]:
    """All sessions established; every host of a site pings every host of a virtual network joined to it."""
    sessions: tuple[Check, ...] = (SessionsCheck(),) if model.peering_ends else ()
    return (*sessions, *_pings(model))


def _pings(model: LabModel) -> Iterator[PingCheck]:
    addresses = model.host_addresses()
    private = {
        circuit.name
        for circuit in model.circuits
        if any(peering.name == "private" for peering in circuit.peerings)
    }
    for site in _items(model.document, "sites"):
        circuits = private & set(site.get("circuits") or ())
        for vnet in _items(model.document, "vnets"):
            joined = {connection.get("circuit") for connection in vnet.get("connections") or ()}
            if not circuits & joined:
                continue
            for source in site.get("hosts") or ():
                for target in vnet.get("hosts") or ():
                    for family in _shared(addresses.get(source, ()), addresses.get(target, ())):
                        yield PingCheck(source, target, family)


def _items(document: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    return list((document.get(key) or {}).values())


def _shared(a: tuple[Any, ...], b: tuple[Any, ...]) -> Iterator[Literal[4, 6]]:
    versions = {item.version for item in a} & {item.version for item in b}
    families: tuple[Literal[4, 6], ...] = (4, 6)
    yield from (family for family in families if family in versions)
