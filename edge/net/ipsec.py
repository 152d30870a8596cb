"""Route-based IPsec tunnels: a VTI device, two security associations and the policies that join them.

What is routed to the device leaves as ESP in tunnel mode (RFC 4303), encrypted with AES-GCM (RFC 4106); ESP
from the other end appears on the device. Device and policies know each other by a mark. All of it is made by
`ip`, whose input holds the keys, so that no list of processes shows them. A tunnel without keys is a device
alone, whose associations and policies `edge.ike` negotiates.

The kernel needs esp4 and ip_vti. Many small kernels have the key tables (`ip xfrm` lists them) and no ESP.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import replace

from edge.errors import CapabilityError, DaemonError, EdgeError
from edge.net.capabilities import PACKAGES, Capability, found_program
from edge.net.namespaces import inside, scratch_namespace
from edge.net.objects.base import Key
from edge.net.objects.changes import Change
from edge.net.objects.devices import IpsecTunnel
from edge.net.rulesets import run_inside
from edge.net.spaces import MissingError, Spaces

AEAD = "rfc4106(gcm(aes))"
ICV_BITS = 128
"""AES-GCM with an integrity check value of 16 octets (RFC 4106 6)."""

REMEDY = "sudo modprobe esp4 ip_vti (Ubuntu: sudo apt-get install linux-modules-extra-$(uname -r))"

REPLAY_WINDOW = 32
"""Packets that may come out of order and are still taken once: the least of RFC 4303 3.4.3."""

_EVERYTHING = "src 0.0.0.0/0 dst 0.0.0.0/0"
"""What a tunnel's policies take: routes decide what goes into it. IPv4 only, as a VTI device of IPv4 is."""

_PROBE = f"""\
link add name probe type vti local 192.0.2.1 remote 192.0.2.2 key 1
xfrm state add src 192.0.2.1 dst 192.0.2.2 proto esp spi 1 mode tunnel aead {AEAD} 0x{"00" * 20} {ICV_BITS}
"""


def making(tunnel: IpsecTunnel, index: int) -> str:
    """Input of `ip -batch -` that makes a tunnel with a device of this index. Pure."""
    name, local, remote, number = tunnel.at.device, tunnel.local, tunnel.remote, tunnel.number
    out, back = f"src {local} dst {remote}", f"src {remote} dst {local}"
    lines = [
        f"link add name {name} index {index} mtu {tunnel.mtu}"
        f" type vti local {local} remote {remote} key {number}"
    ]
    if not tunnel.key_out:
        # Who negotiates needs the kernel's ESP: try it now, while there is somebody to tell.
        lines += (_trial("add", local, remote), _trial("delete", local, remote))
        return "\n".join((*lines, ""))
    for way, spi, key in ((out, tunnel.spi_out, tunnel.key_out), (back, tunnel.spi_in, tunnel.key_in)):
        lines.append(
            f"xfrm state add {way} proto esp spi {spi:#x} reqid {number} mode tunnel"
            f" replay-window {REPLAY_WINDOW} aead {AEAD} 0x{key} {ICV_BITS}"
        )
    for direction, way in (("out", out), ("in", back)):
        lines.append(
            f"xfrm policy add {_EVERYTHING} dir {direction} mark {number}"
            f" tmpl {way} proto esp reqid {number} mode tunnel"
        )
    return "\n".join((*lines, ""))


def unmaking(tunnel: IpsecTunnel) -> str:
    """Commands of `ip`, one a line, that take a tunnel away, or what there is of it. Pure."""
    link = f"link delete {tunnel.at.device}\n"
    # Negotiated associations and their policies are those of who negotiates.
    return link + forgetting(tunnel.number) if tunnel.key_out else link


def forgetting(number: int) -> str:
    """Commands of `ip`, one a line, that take away the associations and policies of a number. Pure."""
    lines = [
        f"xfrm policy delete {_EVERYTHING} dir {direction} mark {number}"
        for direction in ("out", "in", "fwd")
    ]
    # Beside ours, those that the kernel began to ask for while ours were away.
    return "\n".join((*lines, f"xfrm state deleteall reqid {number}", ""))


def _trial(verb: str, local: object, remote: object) -> str:
    # SPI 256 is the first that is not reserved (RFC 4303 2.1).
    what = f"xfrm state {verb} src {local} dst {remote} proto esp spi 0x100"
    return f"{what} mode tunnel aead {AEAD} 0x{'00' * 20} {ICV_BITS}" if verb == "add" else what


def image(device: str, states: str, policies: str) -> str:
    """What `ip` lists of a tunnel, without what moves by itself: counters, states of the link. Pure.

    Raises ValueError when `device` is not what `ip -d -j link show` prints.
    """
    (link,) = json.loads(device)
    shape = (link["mtu"], link["linkinfo"]["info_kind"], link["linkinfo"]["info_data"])
    kept = [line.strip() for line in states.splitlines() if "anti-replay context" not in line]
    return json.dumps([shape, kept, [line.strip() for line in policies.splitlines()]])


def marked(policies: str, number: int) -> str:
    """Of a listing by `ip xfrm policy` the policies with this mark, each of several lines. Pure."""
    found = re.split(r"^(?=src )", policies, flags=re.MULTILINE)
    return "".join(one for one in found if re.search(rf"mark {number:#x}[/ ]", one))


def lacking(words: str) -> str:
    """What the kernel has not got, by the complaints of `ip`; empty when they are of something else. Pure."""
    found = []
    if re.search(r"algorithm not found|Requested mode|Protocol not supported", words):
        found.append("ESP (esp4)")
    if "Unknown device type" in words:
        found.append("VTI devices (ip_vti)")
    return " and ".join(found)


class Ipsec:
    """The tunnels that we put into namespaces. What was made is kept with the image the kernel gave of it."""

    def __init__(self, spaces: Spaces) -> None:
        self._spaces = spaces
        self._made: dict[Key, tuple[IpsecTunnel, str]] = {}

    def create(self, changes: Sequence[Change]) -> list[EdgeError | None]:
        """Make tunnels, anew where they were others; the result of each in order."""
        return [self._attempt(change.after, self._make) for change in changes]

    def delete(self, changes: Sequence[Change]) -> list[EdgeError | None]:
        """Take tunnels away; one that has gone counts as done."""
        return [self._attempt(change.before, self._unmake) for change in changes]

    def found(self, wanted: Iterable[IpsecTunnel]) -> set[IpsecTunnel]:
        """The tunnels of `wanted` and of our own making that are there; one that was changed has no MTU."""
        spaces = set(self._spaces.names())
        keyed = {item.key: item for item in (*(item for item, _ in self._made.values()), *wanted)}
        found = set()
        for item in keyed.values():
            if item.namespace in spaces and self._spaces.exists(item.at):
                made, known = self._made.get(item.key, (None, ""))
                same = made is not None and self._image(made) == known
                found.add(made if made is not None and same else replace(item, mtu=0))
        return found

    def _attempt(self, subject: object, work: object) -> EdgeError | None:
        assert isinstance(subject, IpsecTunnel)
        assert callable(work)
        try:
            work(subject)
        except EdgeError as error:
            return error
        return None

    def _make(self, tunnel: IpsecTunnel) -> None:
        before, known = self._made.pop(tunnel.key, (tunnel, ""))
        if known or self._spaces.exists(tunnel.at):
            # Of one that somebody deleted the associations and policies are still there.
            self._clear(before)
        code, words = self._try(tunnel)
        if code and "File exists" in words:
            # ip_vti puts a device of its own into every namespace as it is loaded, with the next free index.
            self._clear(tunnel)
            self._spaces.relearn()
            code, words = self._try(tunnel)
        if code:
            self._clear(tunnel)
            self._spaces.forget_index(tunnel.at)
            if lacking(words):
                # `ip` stops at the first thing that is missing; trying tells them all.
                raise CapabilityError(f"{tunnel}: {probe().detail}", REMEDY)
            raise DaemonError(f"{tunnel}: ip refuses it: {words.strip()}")
        self._made[tunnel.key] = (tunnel, self._image(tunnel))

    def _clear(self, tunnel: IpsecTunnel) -> None:
        """Take away what there is of it. One command a time: `ip` ends a batch where one has gone already."""
        for line in unmaking(tunnel).splitlines():
            self._ip(tunnel.namespace, tuple(line.split()))

    def _try(self, tunnel: IpsecTunnel) -> tuple[int, str]:
        index = self._spaces.allocate(tunnel.at)
        code, _, words = self._ip(tunnel.namespace, ("-batch", "-"), making(tunnel, index))
        return code, words

    def _unmake(self, tunnel: IpsecTunnel) -> None:
        made, _ = self._made.pop(tunnel.key, (tunnel, ""))
        try:
            self._clear(made)
            if self._spaces.exists(tunnel.at):
                raise DaemonError(f"{tunnel}: ip cannot remove it")
        except MissingError:
            return

    def _image(self, tunnel: IpsecTunnel) -> str:
        listings: tuple[tuple[str, ...], ...] = (("-d", "-j", "link", "show", tunnel.at.device),)
        if tunnel.key_out:
            own = ("xfrm", "state", "list", "reqid", str(tunnel.number))
            listings = (*listings, own, ("xfrm", "policy", "list"))
        found = []
        for words in listings:
            code, listing, complaint = self._ip(tunnel.namespace, words)
            if code:
                raise DaemonError(f"{tunnel}: ip cannot list it: {complaint.strip()}")
            found.append(listing)
        if len(found) == 1:
            # Negotiated ones move by themselves.
            return image(found[0], "", "")
        device, states, policies = found
        return image(device, states, marked(policies, tunnel.number))

    def _ip(self, namespace: str, words: tuple[str, ...], text: str = "") -> tuple[int, str, str]:
        return run_inside(self._spaces.inside, namespace, "ip", words, text, package=PACKAGES["ip"])


def probe() -> Capability:
    """Whether this kernel makes ESP and VTI devices: both are tried, with `ip`, in a scratch namespace."""
    import subprocess

    name = "IPsec tunnels"
    program = found_program("ip")
    if program is None:
        return Capability(name, False, "ip is not installed", f"sudo apt-get install {PACKAGES['ip']}")
    try:
        with scratch_namespace() as fd, inside(fd):
            done = subprocess.run(
                (program, "-force", "-batch", "-"),
                input=_PROBE,
                capture_output=True,
                text=True,
                timeout=20,
                check=False,
                env={**os.environ, "LC_ALL": "C"},
            )
    except (EdgeError, OSError, subprocess.TimeoutExpired) as error:
        return Capability(name, False, f"cannot be tried: {error}", "run as root")
    if not done.returncode:
        return Capability(name, True, "ESP and VTI devices can be made")
    missing = lacking(done.stderr)
    if missing:
        return Capability(name, False, f"not in this kernel: {missing}", REMEDY)
    return Capability(name, False, done.stderr.strip().splitlines()[0], "run as root")
