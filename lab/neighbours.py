"""How many neighbours a lab's routers and hosts will know: what the machine must have room for. Pure."""

from __future__ import annotations

from collections import Counter

from edge.model import Interface
from lab.model import LabModel


def neighbours(model: LabModel) -> dict[int, int]:
    """Entries of neighbour tables by IP version, those without any left out.

    Every address of a router or a host is known at one other end, the next router; a router beside hosts
    knows each of them, which are the hosts' own addresses. IPv6 knows each end by its link-local address,
    too.
    """
    addresses: list[Interface] = []
    for router in model.routers:
        for vrf in router.vrfs:
            for tagged in vrf.subinterfaces:
                addresses += tagged.addresses
            for plain in vrf.interfaces:
                addresses += plain.addresses
    for host in model.hosts:
        for device in host.interfaces:
            addresses += device.addresses
    counted = Counter(address.version for address in addresses)
    if 6 in counted:
        counted[6] *= 2
    return dict(sorted(counted.items()))
