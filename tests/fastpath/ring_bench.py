"""The bench of the fast path's tests with the ring engine in the place of BPF."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from edge.fastpath.ring import RingPlane
from edge.model import TagStack
from edge.net.objects.frames import SubinterfaceTags
from tests.waiting import wait_until

from .conftest import Bench, Net


@dataclass
class RingBench(Bench):
    """A plane that knows veths only, and frames that are on their way while the sender goes on."""

    plane: Any
    names: dict[str, Net] = field(default_factory=dict)

    def net(self, name: str) -> Net:
        """A namespace that the plane knows by name, too."""
        made = self.names[name] = super().net(name)
        return made

    def wire(self, a: Net, b: Net, device: str = "t0", mtu: int = 1508) -> tuple[int, int]:
        """A trunk that carries: a device that has just got carrier drops what it is given for a moment."""
        made = super().wire(a, b, device, mtu)
        for net in (a, b):
            wait_until(lambda net=net: _carries(net, device), f"{net.name}:{device} to carry frames")  # type: ignore[misc]
        return made

    def vrf(
        self, net: Net, vrf: Net, port: str, device: str, tags: TagStack, *addresses: str
    ) -> SubinterfaceTags:
        """A subinterface, both ends of whose veth carry when it has addresses."""
        made = super().vrf(net, vrf, port, device, tags, *addresses)
        for end, name in ((vrf, device), (net, f"{device}-in")) if addresses else ():
            wait_until(lambda end=end, name=name: _carries(end, name), f"{name} to carry frames")  # type: ignore[misc]
        return made

    def macvlan(self, net: Net, port: str, device: str, tags: TagStack, *addresses: str) -> SubinterfaceTags:
        """A subinterface beside its port: a veth; port and inner end are mute, as edge.router makes them."""
        made = self.vrf(net, net, port, device, tags, *addresses)
        settings = {"all/rp_filter": 0, "all/arp_ignore": 1}
        for muted in (port, f"{device}-in"):
            settings[f"{muted}/rp_filter"] = 1
            net.run("sh", "-c", f"echo 1 > /proc/sys/net/ipv6/conf/{muted}/disable_ipv6")
        for name, value in settings.items():
            net.run("sh", "-c", f"echo {value} > /proc/sys/net/ipv4/conf/{name}")
        return made


def _carries(net: Net, device: str) -> bool:
    return bool(json.loads(net.run("ip", "-j", "link", "show", device))[0]["operstate"] == "UP")


@contextlib.contextmanager
def ring_bench() -> Iterator[RingBench]:
    """A bench with an engine of its own; skips where there is none to be had."""
    reason = RingPlane.probe()
    if reason is not None:
        pytest.skip(reason)
    with contextlib.ExitStack() as stack:
        names: dict[str, Net] = {}
        plane = RingPlane(lambda name: names[name].fd)
        stack.callback(plane.close)
        yield RingBench(plane, stack, names=names)  # type: ignore[arg-type]
