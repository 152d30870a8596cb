"""A small real world to look at: pc1 - ce1 - msee1 - vm1, and ce1 - internet - cdn.

The peering between ce1 and msee1 runs over an untagged wire here; what is tested with it looks at the
network, not at tags. `World` implements lab.access.LabAccess over namespaces of its own.
"""

from __future__ import annotations

import os
import socket
import subprocess
from ipaddress import IPv4Address, ip_interface, ip_network
from pathlib import Path
from typing import Any

from edge.bgp.config import render
from edge.bgp.control import ControlSocket
from edge.bgp.process import Birds
from edge.model import (
    ExportPolicy,
    Originate,
    PlainInterface,
    Port,
    Router,
    Session,
    Subinterface,
    Tag,
    Timers,
    Vrf,
)
from edge.net import namespaces
from edge.net.objects.base import Endpoint
from edge.net.objects.changes import Change
from edge.net.objects.daemons import BirdDaemon
from lab.model import Circuit, Host, HostInterface, LabModel, Link, Node, Peering, PeeringEnd
from lab.service.state import State

MSEE = "msee1.ams.private"
TAGS = (Tag(3), Tag(100))
TIMERS = Timers(keepalive_s=1, hold_s=3)

WIRES = (
    ("pc1:eth0", "ce1:lan"),
    ("ce1:ams1.100", f"{MSEE}:ams.100"),
    (f"{MSEE}:hub", "vm1:eth0"),
    ("ce1:internet", "internet:ce1"),
    ("internet:cdn", "cdn:eth0"),
)
ADDRESSES = {
    "pc1:eth0": ("10.1.0.10/24", "fd00:1::10/64"),
    "ce1:lan": ("10.1.0.1/24", "fd00:1::1/64"),
    "ce1:ams1.100": ("192.168.15.1/30", "fd00:15::1/126"),
    f"{MSEE}:ams.100": ("192.168.15.2/30", "fd00:15::2/126"),
    f"{MSEE}:hub": ("10.50.0.1/24", "fd00:50::1/64"),
    "vm1:eth0": ("10.50.0.4/24", "fd00:50::4/64"),
    "ce1:internet": ("100.64.0.1/30",),
    "internet:ce1": ("100.64.0.2/30",),
    "internet:cdn": ("192.0.2.1/24",),
    "cdn:eth0": ("192.0.2.80/24",),
}
HOST_ROUTES = {
    "pc1": ("default via 10.1.0.1", "-6 default via fd00:1::1"),
    "vm1": ("default via 10.50.0.1", "-6 default via fd00:50::1"),
    "ce1": ("default via 100.64.0.2",),
    "cdn": ("default via 192.0.2.1",),
}
PEERING_ROUTES = {
    "ce1": ("10.50.0.0/24 via 192.168.15.2", "-6 fd00:50::/64 via fd00:15::2"),
    MSEE: ("10.1.0.0/24 via 192.168.15.1", "-6 fd00:1::/64 via fd00:15::1"),
}
SOURCE_NAT = """
table ip edge {
  chain out {
    type nat hook postrouting priority 100;
    oifname "internet" meta l4proto udp snat ip to 100.64.0.1:40000-40100
    oifname "internet" snat ip to 100.64.0.1
  }
}
"""


def interfaces(at: str) -> tuple[Any, ...]:
    return tuple(ip_interface(address) for address in ADDRESSES[at])


def _sessions(local_at: str, peer_at: str, asns: tuple[int, int], group: str) -> tuple[Session, ...]:
    return tuple(
        Session(
            name=f"ams_private_ipv{local.version}",
            group=group,
            interface=local_at.partition(":")[2],
            local=local.ip,
            neighbor=peer.ip,
            local_asn=asns[0],
            peer_asn=asns[1],
            exports=ExportPolicy(originated=True),
            timers=TIMERS,
            password="s3cret",
        )
        for local, peer in zip(interfaces(local_at), interfaces(peer_at), strict=True)
    )


def _originates(*prefixes: str) -> tuple[Originate, ...]:
    return tuple(Originate(ip_network(prefix)) for prefix in prefixes)


def model() -> LabModel:
    """The model of this world, as lab.topology would derive it."""
    ce, msee = "ce1:ams1.100", f"{MSEE}:ams.100"
    ce_vrf = Vrf(
        name="ce1",
        namespace="ce1",
        router_id=IPv4Address("10.255.0.1"),
        subinterfaces=(Subinterface("ams1.100", "ams1", TAGS, interfaces(ce)),),
        interfaces=(
            PlainInterface("lan", interfaces("ce1:lan")),
            PlainInterface("internet", interfaces("ce1:internet")),
        ),
        sessions=_sessions(ce, msee, (65010, 12076), "microsoft"),
        originates=_originates("10.1.0.0/24", "fd00:1::/64"),
    )
    msee_vrf = Vrf(
        name="ams.private",
        namespace=MSEE,
        router_id=IPv4Address("10.255.0.2"),
        subinterfaces=(Subinterface("ams.100", "trunk", TAGS, interfaces(msee)),),
        interfaces=(PlainInterface("hub", interfaces(f"{MSEE}:hub")),),
        sessions=_sessions(msee, ce, (12076, 65010), "customer"),
        originates=_originates("10.50.0.0/24", "fd00:50::/64"),
    )
    internet_vrf = Vrf(
        name="internet",
        namespace="internet",
        router_id=IPv4Address("10.255.0.3"),
        interfaces=(
            PlainInterface("ce1", interfaces("internet:ce1")),
            PlainInterface("cdn", interfaces("internet:cdn")),
        ),
    )
    hosts = tuple(
        Host(name, name, (HostInterface("eth0", interfaces(f"{name}:eth0")),))
        for name in ("pc1", "vm1", "cdn")
    )
    ends = (
        PeeringEnd("ams", "private", "primary", "ce1", "ce1", "ams1.100", "customer", TAGS, interfaces(ce)),
        PeeringEnd(
            "ams", "private", "primary", "msee1", MSEE, "ams.100", "microsoft", TAGS, interfaces(msee)
        ),
    )
    subnets = (ip_network("192.168.15.0/29"), ip_network("fd00:15::/125"))
    peering = Peering("private", 100, 65010, subnets, bfd=False)
    circuit = Circuit(
        "ams", "cloud-exchange", "Equinix", "Amsterdam", "premium", "metered", 200_000_000, 3, (peering,)
    )
    return LabModel(
        name="chain",
        nodes=(
            Node("ce1", "ce", "site", ("ce1",)),
            Node("pc1", "host", "site", ("pc1",)),
            Node("msee1", "msee", "edge", ("msee1", MSEE)),
            Node("vm1", "host", "cloud", ("vm1",)),
            Node("internet", "internet", "internet", ("internet",)),
            Node("cdn", "host", "internet", ("cdn",)),
        ),
        routers=(
            Router("ce1", "ce1", (Port("ams1"),), (ce_vrf,)),
            Router("msee1", "msee1", (Port("trunk"),), (msee_vrf,)),
            Router("internet", "internet", (), (internet_vrf,)),
        ),
        hosts=hosts,
        switches=(),
        fabrics=(),
        links=(
            Link("pc1", Endpoint("pc1", "eth0"), Endpoint("ce1", "lan")),
            Link(
                "ams-primary", Endpoint("ce1", "ams1.100"), Endpoint(MSEE, "ams.100"), True, "ams", "primary"
            ),
            Link("vm1", Endpoint(MSEE, "hub"), Endpoint("vm1", "eth0")),
        ),
        circuits=(circuit,),
        peering_ends=ends,
        checks=(),
        state=State(),
        document={
            "name": "chain",
            "sites": {"hq": {"hosts": {"pc1": ["10.1.0.10", "fd00:1::10"]}, "circuits": ["ams"]}},
            "vnets": {
                "hub": {"hosts": {"vm1": ["10.50.0.4", "fd00:50::4"]}, "connections": [{"circuit": "ams"}]}
            },
        },
    )


class World:
    """Namespaces, wires and addresses of this world; a LabAccess over them."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.netns = directory / "netns"
        self.netns.mkdir()
        (directory / "bird").mkdir()
        self.birds = Birds(directory / "bird", self.netns)
        self.model = model()
        self.fds: dict[str, int] = {}
        self.extra_status: dict[str, Any] = {}

    def build(self, *, peering_routes: bool = True) -> None:
        for name in ("pc1", "ce1", MSEE, "vm1", "internet", "cdn"):
            self.fds[name] = namespaces.create_named(name, self.netns)
            # Link-local addresses are then ready at once, and with them neighbour discovery.
            self.sysctl(name, "net/ipv6/conf/all/accept_dad", "0")
            self.sysctl(name, "net/ipv6/conf/default/accept_dad", "0")
            self.sysctl(name, "net/ipv6/conf/all/keep_addr_on_down", "1")
        for a, b in WIRES:
            (space_a, _, device_a), (space_b, _, device_b) = a.partition(":"), b.partition(":")
            far = str(self.netns / space_b)
            self.ip(space_a, f"link add {device_a} type veth peer name {device_b} netns {far}")
        for name in self.fds:
            lines = ["link set lo up"]
            for at, addresses in ADDRESSES.items():
                space, _, device = at.partition(":")
                if space == name:
                    lines += [f"addr add {address} dev {device} nodad" for address in addresses]
                    lines.append(f"link set {device} up")
            self.ip(name, *lines)
            self.sysctl(name, "net/ipv4/icmp_ratelimit", "0")
            self.sysctl(name, "net/ipv6/icmp/ratelimit", "0")
        for name in ("ce1", MSEE, "internet"):
            self.sysctl(name, "net/ipv4/ip_forward", "1")
            self.sysctl(name, "net/ipv6/conf/all/forwarding", "1")
        for routes in (HOST_ROUTES, PEERING_ROUTES) if peering_routes else (HOST_ROUTES,):
            for name, lines_of in routes.items():
                for line in lines_of:
                    self.add_route(name, line)
        self.run("ce1", "nft", "-f", "-", text=SOURCE_NAT)

    def add_route(self, namespace: str, line: str) -> None:
        family = ("-6",) if line.startswith("-6 ") else ()
        self.run(namespace, "ip", *family, "route", "add", *line.removeprefix("-6 ").split())

    def start_birds(self) -> None:
        """BGP between ce1 and msee1, as the model has it."""
        changes = [
            Change(None, BirdDaemon(vrf.namespace, render(vrf)))
            for router in self.model.routers
            for vrf in router.vrfs
            if vrf.sessions
        ]
        errors = [str(error) for error in self.birds.apply(changes) if error]
        assert not errors, errors

    def bird(self, namespace: str, /) -> ControlSocket:
        return self.birds.control(namespace)

    def close(self) -> None:
        self.birds.close()
        for name, fd in self.fds.items():
            namespaces.delete_named(name, self.netns)
            # The descriptor goes last: it keeps the namespace while its name is taken away.
            os.close(fd)

    def run(self, namespace: str, *arguments: str, text: str | None = None) -> str:
        command = ["nsenter", f"--net={self.netns / namespace}", *arguments]
        done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=20)
        assert done.returncode == 0, f"{' '.join(arguments)}: {done.stderr}"
        return done.stdout

    def ip(self, namespace: str, *lines: str) -> None:
        self.run(namespace, "ip", "-batch", "-", text="\n".join(lines) + "\n")

    def sysctl(self, namespace: str, name: str, value: str) -> None:
        with namespaces.inside(self.fds[namespace]):
            Path("/proc/sys", name).write_text(value, encoding="ascii")

    def socket(self, namespace: str, family: int, kind: int, proto: int, /) -> socket.socket:
        with namespaces.inside(self.fds[namespace]):
            return socket.socket(family, kind, proto)

    def counters(self) -> dict[str, Any]:
        return {}

    def status(self) -> dict[str, Any]:
        return {"realisation": {"name": "bpf", "reason": "for a test"}, "started": 0.0, **self.extra_status}
