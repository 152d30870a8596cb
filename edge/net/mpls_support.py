"""Whether this kernel routes MPLS, found out by trying; and what a provider's core is made of by that."""

from __future__ import annotations

import errno
from dataclasses import dataclass
from ipaddress import ip_interface, ip_network
from typing import Literal

from edge.errors import CapabilityError, EdgeError
from edge.net import messages as nl
from edge.net.capabilities import Capability
from edge.net.mpls import push_route
from edge.net.namespaces import scratch_namespace
from edge.net.netlink import RouteSocket

CoreAsked = Literal["auto", "mpls", "vrf"]
CoreName = Literal["mpls", "vrf"]


@dataclass(frozen=True, slots=True)
class CoreChoice:
    """What tells customers apart in a provider's core, and why it was taken."""

    name: CoreName
    reason: str


def choose_core(found: Capability, asked: CoreAsked = "auto") -> CoreChoice:
    """The core asked for, or `mpls` where the kernel routes labels. Pure. Raises CapabilityError."""
    if asked == "mpls" and not found.ok:
        raise CapabilityError(f"a core of MPLS labels: {found.detail}", f"{found.remedy}; or write core: vrf")
    if asked != "auto":
        return CoreChoice(asked, "asked for")
    return CoreChoice("mpls", found.detail) if found.ok else CoreChoice("vrf", f"not mpls: {found.detail}")


def probe() -> Capability:
    """Whether the kernel routes labels and puts them before packets. May load its modules by asking."""
    name = "MPLS"
    own, label = ip_interface("192.0.2.0/31"), 100
    ends = [nl.DeviceSpec(f"probe{n}", 10 + n, 1500, f"02:00:00:00:00:0{n}") for n in (0, 1)]
    requests = [
        nl.new_veth(ends[0], ends[1]),
        nl.add_address(ends[0].index, own),
        nl.set_up(ends[0].index, True),
        push_route(ip_network("198.51.100.0/24"), (label,), own.ip + 1),
    ]
    try:
        with scratch_namespace() as fd, RouteSocket(fd) as route:
            refused = next((one for one in route.transact(requests) if one is not None), None)
    except (EdgeError, OSError) as error:
        return Capability(name, False, f"MPLS cannot be tried: {error}", "run as root")
    if refused is None:
        return Capability(name, True, "the kernel routes MPLS")
    if refused.errno in (errno.EPERM, errno.EACCES):
        return Capability(name, False, "no right to try MPLS", "run as root")
    remedy = "sudo modprobe -a mpls_router mpls_iptunnel (Ubuntu: linux-modules-extra-$(uname -r))"
    return Capability(name, False, "the kernel does not route MPLS", remedy)
