"""All that `edge doctor` tells of a machine: what decides (capabilities), and what else a lab may want.

Each thing is tried in a scratch namespace. A deploy does not wait for this: it probes only what decides.
"""

from __future__ import annotations

import errno
import os
import platform
import re
import socket
import struct
import subprocess
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from edge.errors import EdgeError
from edge.fastpath import clsact
from edge.fastpath.attach import HookKind
from edge.fastpath.tagplane import TagPlane
from edge.net import ipsec, mpls_support, namespaces
from edge.net import messages as nl
from edge.net.capabilities import Capabilities, Capability, found_program, probe, program_version, rights
from edge.net.macsec import probe_macsec
from edge.net.namespaces import inside, scratch_namespace
from edge.net.netlink import RouteSocket

_TOO_FEW_RIGHTS = (errno.EPERM, errno.EACCES)

_BUCKET = (1_000_000, 0, 1 << 16, 1 << 20)
"""Bits per second, overhead, octets of burst and of queue."""

_DEADLINE_S = 5.0
_MODULES = "sudo modprobe {} (Ubuntu: sudo apt-get install linux-modules-extra-$(uname -r))"

_HANDLE = 1 << 16
_TCA_HTB_INIT = 2
_TC_HTB_GLOB = struct.pack("=5I", 3, 10, 1, 0, 0)
_TC_NETEM_QOPT = struct.pack("=6I", 0, 1000, 0, 0, 0, 0)
"""<linux/pkt_sched.h>: struct tc_htb_glob, version 3, default class 1; struct tc_netem_qopt, 1000 packets."""

_QUEUES: tuple[tuple[str, str, Callable[[int], nl.Request]], ...] = (
    ("HTB", "classes with rates", lambda at: _queue(at, "htb", nl.attribute(_TCA_HTB_INIT, _TC_HTB_GLOB))),
    (
        "TBF",
        "a circuit's rate, with VLAN devices",
        lambda at: nl.set_token_bucket(at, *_BUCKET),
    ),
    ("fq_codel", "fair queues without standing delay", lambda at: _queue(at, "fq_codel")),
    ("cake", "shaper and fair queues in one", lambda at: _queue(at, "cake")),
    ("netem", "delay and loss", lambda at: _queue(at, "netem", _TC_NETEM_QOPT)),
    ("clsact", "where tag programs stand before Linux 6.6", clsact.new_qdisc),
)

_DSCP_NFT = "table inet probe { chain c { type filter hook postrouting priority mangle; ip dscp set ef; }; }"
_DSCP_XTABLES = "*mangle\n-A POSTROUTING -j DSCP --set-dscp 46\nCOMMIT\n"

PROGRAMS = (
    ("tshark", "tshark", "reads captures", "--version"),
    ("tcpdump", "tcpdump", "reads captures", "--version"),
    ("vtysh", "frr", "FRR, as a site's own router", "--help"),
    ("swanctl", "charon-systemd", "strongSwan, keys of VPN tunnels", "--help"),
)
"""Programs that a lab does without: name, package, what for, and what makes them tell their version."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A capability under the heading that it is told under. needed: labs do not run without it."""

    group: str
    capability: Capability
    needed: bool = False

    def to_json(self) -> dict[str, object]:
        """For `edge doctor --format json`."""
        item = self.capability
        return {
            "group": self.group,
            "name": item.name,
            "ok": item.ok,
            "detail": item.detail,
            "remedy": item.remedy,
            "needed": self.needed,
        }


@dataclass(frozen=True, slots=True)
class Survey:
    """Everything that was found. capabilities: what decides."""

    system: str
    capabilities: Capabilities
    findings: tuple[Finding, ...]


def survey() -> Survey:
    """Try everything. Some hundred milliseconds; may load modules by asking for what they bring.

    Without root it is tried where a lab of this user would live: this process goes into a user namespace of
    its own, for good, if that is allowed.
    """
    outside = None if os.geteuid() == 0 else rights()
    entered = outside is not None and _enter_user_namespace()
    found = probe()
    if outside is not None:
        net_admin, sys_admin, bpf = outside
        found = replace(found, is_root=False, net_admin=net_admin, sys_admin=sys_admin, bpf_rights=bpf)
    system = f"Linux {platform.release()} {platform.machine()}, {_distribution()}, "
    system += f"Python {platform.python_version()}"
    if entered:
        system += "\nwithout root: all but the rights is tried in a user namespace, where a lab would live"
    return Survey(system, found, tuple(_findings(found)))


def _enter_user_namespace() -> bool:
    user, group = os.geteuid(), os.getegid()
    try:
        # The network namespace it is in belongs to others: it could not come back to it.
        namespaces.unshare(namespaces.CLONE_NEWUSER | namespaces.CLONE_NEWNET)
        namespaces.map_to_root(user, group)
    except OSError:
        return False
    return True


def _findings(found: Capabilities) -> Iterator[Finding]:
    decided = (
        ("rights", (found.net_admin, found.sys_admin, found.bpf_rights, found.user_namespaces)),
        ("tags", (found.vlan, found.vlan_ad, found.tag_plane, found.ring)),
    )
    for group, items in decided:
        for item in items:
            yield Finding(group, item)
    if found.bpf_rights.ok:
        yield Finding("tags", _tag_hook("tcx", "Linux 6.6 or later; clsact is as good"))
        yield Finding("tags", _tag_hook("clsact", _MODULES.format("sch_ingress cls_bpf")))
    yield from (Finding("links", item) for item in links())
    yield Finding("links", mpls_support.probe())
    yield Finding("links", ipsec.probe())
    yield from (Finding("queues", item) for item in queues())
    yield Finding("packet rules", found.nft, needed=True)
    yield Finding("packet rules", dscp(found))
    for item in (found.bird, found.ip, found.nsenter):
        yield Finding("programs", program_version(item.name) if item.ok else item, needed=True)
    for name, package, use, option in PROGRAMS:
        item = program_version(name, package, option)
        detail = item.detail if item.ok else f"{item.detail} ({use})"
        yield Finding("programs", Capability(item.name, item.ok, detail, item.remedy))


def links() -> list[Capability]:
    """Veth pairs, bridges, macvlan devices, packet sockets on one of them; MACsec."""
    mac = "02:00:00:00:00:0%d"
    end, other, bridge, vlan = (nl.DeviceSpec(f"probe{n}", 10 + n, 1500, mac % n) for n in range(4))
    requests = {
        "veth": nl.new_veth(end, other),
        "bridge": nl.new_bridge(bridge),
        "macvlan": nl.new_macvlan(vlan, end.index),
    }
    tried = [
        _told(f"{name} devices", "can be made", refused, name)
        for name, refused in zip(requests, _transact(requests.values()), strict=True)
    ]
    return [*tried, packet_sockets(), probe_macsec()]


def queues() -> list[Capability]:
    """Queueing disciplines, each made on a loopback of its own."""
    return [
        _told(name, use, _transact([request(nl.LOOPBACK_INDEX)])[0], f"sch_{module(name)}")
        for name, use, request in _QUEUES
    ]


def module(name: str) -> str:
    """The module's name of a queueing discipline behind `sch_`. Pure."""
    return {"clsact": "ingress"}.get(name, name.lower())


def packet_sockets() -> Capability:
    """AF_PACKET, which captures and the realisation in user space read frames by."""
    name = "packet sockets"
    try:
        with scratch_namespace() as fd, inside(fd):
            opened = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        with opened:
            opened.bind(("lo", 0))
    except (EdgeError, OSError) as error:
        return _told(name, "", _number(error), "af_packet")
    return _told(name, "frames can be read and sent", 0, "af_packet")


def dscp(found: Capabilities) -> Capability:
    """Whether the packet rules of this machine can write DSCP."""
    name = "DSCP marking"
    if not found.nft.ok:
        return Capability(name, False, "needs packet rules", found.nft.remedy)
    command, text = (["nft", "-f", "-"], _DSCP_NFT)
    if found.packet_rules == "iptables":
        command, text = (["iptables-legacy-restore"], _DSCP_XTABLES)
    program = found_program(command[0]) or command[0]
    try:
        with scratch_namespace() as fd, inside(fd):
            done = subprocess.run(
                [program, *command[1:]],
                input=text,
                capture_output=True,
                text=True,
                timeout=_DEADLINE_S,
                check=False,
            )
    except (EdgeError, OSError, subprocess.TimeoutExpired) as error:
        return Capability(name, False, f"cannot be tried: {error}", "run as root")
    if done.returncode == 0:
        return Capability(name, True, f"by {command[0].removesuffix('-restore')}")
    words = (done.stderr.strip().splitlines() or ["no reason given"])[0]
    return Capability(name, False, words, _MODULES.format("nft_exthdr xt_DSCP"))


def _tag_hook(hook: HookKind, remedy: str) -> Capability:
    name = f"tag programs at {hook}"
    reason = TagPlane.probe(hook)
    if reason is None:
        return Capability(name, True, "load and attach")
    return Capability(name, False, "not in this kernel", remedy)


def _transact(requests: Iterable[nl.Request]) -> list[int]:
    """Carry requests out in a scratch namespace; the errno of each, 0 when it was done."""
    wanted = list(requests)
    try:
        with scratch_namespace() as fd, RouteSocket(fd) as route:
            return [refused.errno if refused else 0 for refused in route.transact(wanted)]
    except (EdgeError, OSError) as error:
        return [_number(error)] * len(wanted)


def _number(error: Exception) -> int:
    return error.errno if isinstance(error, OSError) and error.errno else errno.EIO


def _told(name: str, use: str, number: int, brings: str) -> Capability:
    if number == 0:
        return Capability(name, True, use)
    if number in _TOO_FEW_RIGHTS:
        return Capability(name, False, "no right to try it", "run as root")
    return Capability(name, False, f"not in this kernel ({os.strerror(number)})", _MODULES.format(brings))


def _queue(index: int, kind: str, options: bytes = b"") -> nl.Request:
    payload = nl.TCMSG.pack(0, index, _HANDLE, nl.TC_H_ROOT, 0) + nl.text(nl.TCA_KIND, kind)
    if options:
        payload += nl.attribute(nl.TCA_OPTIONS, options)
    return nl.Request(nl.RTM_NEWQDISC, nl.NLM_F_CREATE | nl.NLM_F_EXCL, payload)


def _distribution() -> str:
    try:
        text = Path("/etc/os-release").read_text(encoding="utf-8")
    except OSError:
        return "unknown distribution"
    name = re.search(r'^PRETTY_NAME="?([^"\n]*)', text, re.MULTILINE)
    return name[1] if name else "unknown distribution"
