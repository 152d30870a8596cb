"""What an order says to whoever configures one of its routers: interfaces, neighbours, networks. Pure.

For a user's own router it is what its configuration finds and has to say; for one of the lab's it is what the
lab has configured. Keys stay out: they are in the topology file.
"""

from __future__ import annotations

from typing import Any

from edge.errors import UsageError
from edge.model import PlainInterface, Session, Subinterface, Vrf
from lab.lookup import suggestion
from lab.model import LabModel


def sheet(model: LabModel, name: str) -> dict[str, Any]:
    """The interfaces, neighbours, networks to announce and routes of a router, as plain data.

    Raises UsageError when no router is called so.
    """
    router = next((item for item in model.routers if item.name == name), None)
    if router is None:
        known = (item.name for item in model.routers)
        raise UsageError(f"there is no router {name}; {suggestion(name, known)}")
    return {
        "version": 1,
        "router": name,
        "interfaces": [row for vrf in router.vrfs for row in _interfaces(vrf)],
        "neighbors": [_neighbor(session) for vrf in router.vrfs for session in vrf.sessions],
        "networks": [str(one.network) for vrf in router.vrfs for one in vrf.originates],
        "routes": [
            {"destination": str(route.destination), "via": [str(hop) for hop in route.via]}
            for vrf in router.vrfs
            for route in vrf.routes
        ],
    }


def _interfaces(vrf: Vrf) -> list[dict[str, Any]]:
    tagged = [
        _interface(vrf, item, "/".join(str(tag.vid) for tag in item.tags)) for item in vrf.subinterfaces
    ]
    return [*tagged, *(_interface(vrf, item, "") for item in vrf.interfaces)]


def _interface(vrf: Vrf, item: Subinterface | PlainInterface, tags: str) -> dict[str, Any]:
    return {
        "namespace": vrf.namespace,
        "interface": item.name,
        "tags": tags,
        "mtu": item.mtu,
        "addresses": [str(address) for address in item.addresses],
    }


def _neighbor(session: Session) -> dict[str, Any]:
    bfd = session.bfd
    return {
        "neighbor": str(session.neighbor),
        "as": session.peer_asn,
        "local": str(session.local),
        "local_as": session.local_asn,
        "interface": session.interface,
        "group": session.group,
        "md5": session.password is not None,
        "bfd": f"{bfd.interval_ms} ms x {bfd.multiplier}" if bfd is not None else "",
        "keepalive_s": session.timers.keepalive_s,
        "hold_s": session.timers.hold_s,
    }
