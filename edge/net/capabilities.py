"""What this machine can do, found out by trying; and which realisation of links and tags follows from it.

Nothing is concluded from a version number: a device is made, a program is started. Everything happens in
a scratch namespace, which is gone when the probe returns.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from edge.errors import CapabilityError, EdgeError
from edge.model import ETHERTYPE_DOT1AD, ETHERTYPE_DOT1Q

if TYPE_CHECKING:
    from edge.net.netlink import Refusal

# Every command imports this module for its names; what only a probe needs is imported by the probe.

PACKAGES = {"bird": "bird2", "nft": "nftables", "ip": "iproute2", "nsenter": "util-linux"}
"""Program -> the package of Debian and Ubuntu that brings it."""

_IPTABLES = ("iptables-legacy-restore", "ip6tables-legacy-restore")

CAP_NET_ADMIN, CAP_SYS_ADMIN, CAP_BPF = 12, 21, 39

_APPARMOR = Path("/proc/sys/kernel/apparmor_restrict_unprivileged_userns")
_USERNS_CLONE = Path("/proc/sys/kernel/unprivileged_userns_clone")
_USERNS_MAX = Path("/proc/sys/user/max_user_namespaces")
_PROGRAM_DEADLINE_S = 20
_VERSION = re.compile(r"\d+(\.\d+)+")
_BUILD = "pip install . (needs gcc and python3-dev)"

ADMIN_FOLDERS = "/usr/local/sbin:/usr/sbin:/sbin"

Asked = Literal["auto", "kernel", "bpf", "ring"]
RealisationName = Literal["kernel", "bpf", "ring"]
PacketRules = Literal["nft", "iptables"]
"""What applies packet rules: nftables, or its predecessor where the kernel has no other."""


@dataclass(frozen=True, slots=True)
class Capability:
    """One thing the machine can do or not. remedy: the command that gives it, empty when `ok`."""

    name: str
    ok: bool
    detail: str
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Capabilities:
    """All that matters here. is_root: uid 0 with CAP_NET_ADMIN and CAP_SYS_ADMIN, maybe of a namespace.

    nft stands for packet rules by whatever `packet_rules` says.
    """

    is_root: bool
    net_admin: Capability
    sys_admin: Capability
    bpf_rights: Capability
    user_namespaces: Capability
    vlan: Capability
    vlan_ad: Capability
    tag_plane: Capability
    ring: Capability
    nft: Capability
    bird: Capability
    ip: Capability
    nsenter: Capability
    packet_rules: PacketRules = "nft"

    def all(self) -> tuple[Capability, ...]:
        """The capabilities in the order of the fields."""
        values = (getattr(self, field.name) for field in fields(self))
        return tuple(value for value in values if isinstance(value, Capability))

    def to_json(self) -> dict[str, Any]:
        """For `edge doctor --format json`."""
        return {
            "version": 1,
            "root": self.is_root,
            "capabilities": [
                {"name": item.name, "ok": item.ok, "detail": item.detail, "remedy": item.remedy}
                for item in self.all()
            ],
        }


@dataclass(frozen=True, slots=True)
class Realisation:
    """What carries links and tags, and why it was taken."""

    name: RealisationName
    reason: str


def choose_realisation(capabilities: Capabilities, asked: Asked = "auto") -> Realisation:
    """The realisation asked for, or the first of `kernel`, `bpf`, `ring` that the machine can do. Pure.

    Raises CapabilityError with every reason and every way out when none fits.
    """
    needs: dict[RealisationName, tuple[Capability, ...]] = {
        "kernel": (capabilities.vlan, capabilities.vlan_ad),
        "bpf": (capabilities.tag_plane,),
        "ring": (capabilities.ring,),
    }
    reasons: list[str] = []
    remedies: list[str] = []
    for name in needs if asked == "auto" else (asked,):
        missing = [item for item in needs[name] if not item.ok]
        if not missing:
            have = ", ".join(item.detail for item in needs[name])
            passed = f"; not {'; not '.join(reasons)}" if reasons else ""
            return Realisation(name, f"{'asked for' if asked != 'auto' else have}{passed}")
        reasons.append(f"{name}: {', '.join(dict.fromkeys(item.detail for item in missing))}")
        remedies += [f"{name}: {remedy}" for remedy in dict.fromkeys(item.remedy for item in missing)]
    raise CapabilityError(
        f"no realisation of links and tags fits this machine ({'; '.join(reasons)})", "; or ".join(remedies)
    )


def probe(deciding: Asked | None = None) -> Capabilities:
    """Try everything. Takes some ten milliseconds; may load the 8021q module by asking for its devices.

    deciding: try no more than what decides which realisation to take when this one is asked for, and how
    packet rules are applied; the rest is then told as not tried.
    """
    from concurrent.futures import ThreadPoolExecutor

    net_admin, sys_admin, bpf_rights = rights()
    with ThreadPoolExecutor(2) as pool:
        packet_filter = pool.submit(_packet_rules, deciding is None)
        bird = pool.submit(_program, "bird", *(("--version",) if deciding is None else ()))
        vlan, vlan_ad = (_not_tried("802.1Q devices"), _not_tried("802.1ad devices"))
        if deciding in (None, "auto", "kernel"):
            vlan, vlan_ad = _vlan_devices()
        tag_plane = _not_tried("BPF tag plane")
        if deciding in (None, "bpf") or (deciding == "auto" and not (vlan.ok and vlan_ad.ok)):
            tag_plane = _tag_plane()
        ring = _not_tried("packet rings")
        decided = deciding == "auto" and ((vlan.ok and vlan_ad.ok) or tag_plane.ok)
        if deciding in (None, "auto", "ring") and not decided:
            ring = _ring()
    nft, packet_rules = packet_filter.result()
    return Capabilities(
        is_root=os.geteuid() == 0 and net_admin.ok and sys_admin.ok,
        net_admin=net_admin,
        sys_admin=sys_admin,
        bpf_rights=bpf_rights,
        user_namespaces=_user_namespaces(),
        vlan=vlan,
        vlan_ad=vlan_ad,
        tag_plane=tag_plane,
        ring=ring,
        nft=nft,
        bird=bird.result(),
        ip=_program("ip"),
        nsenter=_program("nsenter"),
        packet_rules=packet_rules,
    )


def rights() -> tuple[Capability, Capability, Capability]:
    """CAP_NET_ADMIN, CAP_SYS_ADMIN and CAP_BPF of this process, maybe of a namespace only."""
    effective = _effective_capabilities()
    return (
        _right("CAP_NET_ADMIN", effective, CAP_NET_ADMIN),
        _right("CAP_SYS_ADMIN", effective, CAP_SYS_ADMIN),
        _right("CAP_BPF", effective, CAP_BPF),
    )


def _not_tried(name: str) -> Capability:
    return Capability(name, False, f"{name} not tried", "edge doctor tries everything")


def probe_for_lab(deciding: Asked | None = None) -> Capabilities:
    """What a lab of this user would have: for an ordinary user, what `probe` finds in a user namespace.

    Without the right to make one, what there is outside, where `user_namespaces` says why.
    """
    import pickle

    if os.geteuid() == 0:
        return probe(deciding)
    reader, writer = os.pipe2(os.O_CLOEXEC)
    child = os.fork()
    if child == 0:
        _probe_in_child(writer, deciding)
    os.close(writer)
    with os.fdopen(reader, "rb") as answer:
        data = answer.read()
    os.waitpid(child, 0)
    if data:
        found = pickle.loads(data)  # noqa: S301 - our own child wrote it
        assert isinstance(found, Capabilities)
        return found
    outside = probe(deciding)
    if not outside.user_namespaces.ok:
        return outside
    refused = Capability(
        "user namespaces",
        False,
        "the kernel refuses this user a user namespace with rights of its own",
        "run as root",
    )
    return replace(outside, user_namespaces=refused)


def _probe_in_child(writer: int, deciding: Asked | None) -> None:
    """Never returns. Writes the pickled result, or nothing when there is no user namespace to be had."""
    import pickle

    from edge.net import namespaces as ns

    status = 1
    try:
        user, group = os.geteuid(), os.getegid()
        ns.unshare(ns.CLONE_NEWUSER | ns.CLONE_NEWNS | ns.CLONE_NEWNET)
        ns.map_to_root(user, group)
        os.write(writer, pickle.dumps(probe(deciding)))
        status = 0
    except OSError:
        status = 2
    finally:
        os._exit(status)


def _effective_capabilities() -> int:
    status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
    found = re.search(r"^CapEff:\s*([0-9a-f]+)$", status, re.MULTILINE)
    return int(found.group(1), 16) if found else 0


def _right(name: str, effective: int, number: int) -> Capability:
    ok = bool(effective >> number & 1)
    return Capability(name, ok, f"{name} {'held' if ok else 'not held'}", "" if ok else "run as root")


def _vlan_devices() -> tuple[Capability, Capability]:
    """Whether VLAN devices can be made for 802.1Q and 802.1ad tags."""
    from edge.net import messages as nl
    from edge.net.namespaces import scratch_namespace
    from edge.net.netlink import Refusal, RouteSocket

    mac = "02:00:00:00:00:0%d"
    end, other = (nl.DeviceSpec(f"probe{n}", 10 + n, 1500, mac % n) for n in (0, 1))
    tagged = (nl.DeviceSpec(f"probe{n}", 10 + n, 1400, mac % n) for n in (2, 3))
    requests = [nl.new_veth(end, other)]
    requests += [
        nl.new_vlan(device, end.index, 5, tpid)
        for device, tpid in zip(tagged, (ETHERTYPE_DOT1Q, ETHERTYPE_DOT1AD), strict=True)
    ]
    results: list[Refusal | None]
    try:
        with scratch_namespace() as fd, RouteSocket(fd) as route:
            results = route.transact(requests)[1:]
    except (EdgeError, OSError) as error:
        number = error.errno if isinstance(error, OSError) and error.errno else errno.EIO
        results = [Refusal(number), Refusal(number)]
    return _vlan("802.1Q devices", results[0]), _vlan("802.1ad devices", results[1])


def _vlan(name: str, refused: Refusal | None) -> Capability:
    if refused is None:
        return Capability(name, True, f"the kernel has {name}")
    if refused.errno in (errno.EPERM, errno.EACCES):
        return Capability(name, False, f"no right to try {name}", "run as root")
    if refused.errno in (errno.EOPNOTSUPP, errno.EPROTONOSUPPORT, errno.ENODEV):
        remedy = "sudo modprobe 8021q (Ubuntu: sudo apt-get install linux-modules-extra-$(uname -r))"
        return Capability(name, False, f"the kernel has no {name}", remedy)
    return Capability(name, False, f"the kernel refuses {name}: {refused}", "sudo modprobe 8021q")


def _tag_plane() -> Capability:
    # Compiled code: an installation without it can still validate files and use VLAN devices.
    name = "BPF tag plane"
    try:
        from edge.fastpath.tagplane import TagPlane
    except ImportError as error:
        return Capability(name, False, f"the compiled part is missing ({error})", _BUILD)
    reason = TagPlane.probe()
    if reason is None:
        return Capability(name, True, "BPF programs load and attach")
    return Capability(name, False, reason, "run as root on a kernel with BPF (5.10 or later)")


def _ring() -> Capability:
    name = "tags in user space"
    try:
        from edge.fastpath.ring import RingPlane
    except ImportError as error:
        return Capability(name, False, f"the compiled part is missing ({error})", _BUILD)
    reason = RingPlane.probe()
    if reason is None:
        return Capability(name, True, "packet sockets carry tags")
    return Capability(name, False, reason, _user_namespaces().remedy or "run as root")


def _user_namespaces() -> Capability:
    """Whether a process without rights may make a user namespace, by the switches that forbid it."""
    name = "user namespaces"
    if _number(_USERNS_CLONE) == 0:
        switch = "sudo sysctl -w kernel.unprivileged_userns_clone=1"
        return Capability(name, False, "kernel.unprivileged_userns_clone is 0", switch)
    maximum = _number(_USERNS_MAX)
    if maximum == 0 or not Path("/proc/self/ns/user").exists():
        detail = "user.max_user_namespaces is 0" if maximum == 0 else "the kernel has none"
        return Capability(name, False, detail, "sudo sysctl -w user.max_user_namespaces=15000")
    if _number(_APPARMOR) == 1:
        # Ubuntu 23.10 and later: the namespace is made, but has no rights inside.
        return Capability(
            name,
            False,
            "AppArmor restricts unprivileged user namespaces",
            "run as root, or sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0",
        )
    return Capability(name, True, "unprivileged user namespaces are allowed")


def _packet_rules(tell_version: bool) -> tuple[Capability, PacketRules]:
    """Whether packet rules can be applied, and what does it. A table is tried where there is the right to."""
    import subprocess

    from edge.net.namespaces import inside, scratch_namespace

    nft = _program("nft", *(("--version",) if tell_version else ()))
    if not nft.ok:
        return nft, "nft"
    try:
        with scratch_namespace() as fd, inside(fd):
            done = subprocess.run(
                (found_program("nft") or "nft", "-c", "-f", "-"),
                input="table inet probe { chain c { type nat hook postrouting priority 100; }; }",
                capture_output=True,
                text=True,
                timeout=_PROGRAM_DEADLINE_S,
                check=False,
                env={**os.environ, "LC_ALL": "C"},
            )
    except (EdgeError, OSError, subprocess.TimeoutExpired):
        return nft, "nft"
    # Without the right to try, the answer is another one, and says nothing about the kernel.
    refused = re.findall(r"\w[\w ]+ not supported", done.stderr) if done.returncode else []
    if not refused:
        return nft, "nft"
    why = f"the kernel has no nftables for IPv4 and IPv6 ({refused[0]})"
    if not all(found_program(name) for name in _IPTABLES):
        return Capability(
            "nft", False, why, "sudo modprobe nf_tables, or sudo apt-get install iptables"
        ), "nft"
    return Capability("nft", True, f"iptables in its place: {why}"), "iptables"


def found_program(name: str) -> str | None:
    """Where a program is, in an administrator's folders, too; None when it is not installed."""
    return shutil.which(name, path=program_path())


def program_path() -> str:
    """PATH with the administrators' folders, which on Debian a user's PATH lacks: nft and bird are there."""
    return f"{os.environ.get('PATH', os.defpath)}:{ADMIN_FOLDERS}"


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None


def program_version(name: str, package: str = "", option: str = "--version") -> Capability:
    """A program and the version that it says it is; `package` brings it, if PACKAGES does not say."""
    return _program(name, "-V" if name == "ip" else option, package=package)


def _program(name: str, *arguments: str, package: str = "") -> Capability:
    import subprocess

    found = found_program(name)
    remedy = f"sudo apt-get install {package or PACKAGES[name]}"
    if found is None:
        return Capability(name, False, f"{name} is not installed", remedy)
    if not arguments:
        return Capability(name, True, found)
    try:
        done = subprocess.run(
            (found, *arguments),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_PROGRAM_DEADLINE_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return Capability(name, False, f"{found} does not run: {error}", f"{remedy} --reinstall")
    version = _VERSION.search(done.stdout + done.stderr)
    if done.returncode or version is None:
        words = (done.stderr or done.stdout).strip() or f"status {done.returncode}"
        return Capability(name, False, f"{found} does not run: {words}", f"{remedy} --reinstall")
    return Capability(name, True, f"{name} {version.group()}")
