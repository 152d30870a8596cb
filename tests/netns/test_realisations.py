"""The wire is the contract: whatever makes the tags, the same frames are on every link of the reference lab.

One fixed set of exchanges runs in a lab of each realisation, one lab after the other, while all links are
captured at once. What of the frames has to be equal is said in tests/alike.py. A new realisation joins by
its name in REALISATIONS.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import struct
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from functools import partial
from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from labs import CONTOSO, Labs

from edge.errors import CapabilityError
from edge.model import Address
from edge.net import messages as nl
from edge.net import readings, sysctl
from edge.net.capabilities import Asked, choose_realisation, probe
from edge.net.namespaces import inside
from edge.net.netlink import RouteSocket
from lab.capture import FrameSource
from lab.client import Client
from lab.icmp import PROTO_ICMP, PROTO_ICMP6
from lab.places import resolve_where
from lab.state import RunDirectory
from tests.alike import MARK, ONE_BY_ONE, Alike, Kind, alike
from tests.leakguard import OF_MODULES

pytestmark = [
    pytest.mark.root,
    pytest.mark.kernels("stock"),
    pytest.mark.shows(
        "the same frames on every link in all realisations",
        "QinQ, outer 0x8100",
        "IPv6 and neighbour discovery",
        "1500 octets inside two tags",
        stock=("kernel", "bpf", "ring"),
    ),
]

REALISATIONS: tuple[Asked, ...] = ("kernel", "bpf", "ring")
DEADLINE_S = 90.0
ANSWER_S = 5.0
QUIET_S = 1.0
RTM_DELNEIGH, NDA_DST = 29, 1
RTMSG_OCTETS, RTA_CACHEINFO = 12, 12

FLOWS = (
    ("pc1", "10.50.1.4"),
    ("pc1", "fd00:50:0:1::4"),
    ("vm1", "10.1.0.10"),
    ("vm1", "fd00:1::10"),
    ("ce1", "192.168.15.2"),
    ("ce2", "192.168.15.6"),
    ("ce1", "fd00:15::2"),
    ("ce2", "fd00:15::6"),
    ("ce1", "198.51.100.2"),
    ("ce2", "198.51.100.6"),
)
"""Who sends an echo request to whom. A host gets two datagrams, too: a small one and one of FULL_OCTETS."""

OUTSIDE = ("teams", "exchange", "sharepoint", "dns", "cdn")
"""Hosts that pc1 reaches through address translation."""

UNUSED = ("hub-gw0-internet", "hub-gw1-internet")
"""Nobody in the network goes to the Internet here."""

FULL_OCTETS = 1400
"""The longest IP packet that a virtual network's gateway passes."""


def test_every_link_carries_the_same_frames_in_every_realisation(labs: Labs) -> None:
    seen: dict[str, dict[str, Story]] = {}
    for name in REALISATIONS:
        try:
            choose_realisation(probe(), name)
        except CapabilityError as error:
            pytest.fail(f"this kernel cannot compare {', '.join(REALISATIONS)}: {error}")
        # Sessions are begun anew while everything is read: their first beginning need not be waited for.
        labs.ok("deploy", "-t", str(CONTOSO), "--links", name, "--no-wait")
        with Client(RunDirectory(labs.directory / "contoso")) as client:
            assert client.status()["realisation"]["name"] == name
            seen[name] = record(client)
        labs.ok("destroy")
    first, *others = REALISATIONS
    for other in others:
        differences = [
            f"{link}: {words}"
            for link in seen[first]
            for words in seen[first][link].differences(first, seen[other][link], other)
        ]
        assert not differences, "\n".join(differences)
    # Equal is not enough: nothing equals nothing.
    empty = [link for link, story in seen[first].items() if not story.kinds() & {"arp", "nd"}]
    empty = [link for link in empty if link not in UNUSED]
    assert not empty, f"no frames on {empty}"
    peering = {"arp", "nd", "icmp", "icmp6", "udp", "bfd", "bgp open", "bgp keepalive"}
    for link in ("ams-primary", "ams-secondary"):
        assert seen[first][link].kinds() == peering
        assert max(len(item.octets) for item in seen[first][link].in_order) == 14 + 4 + 4 + FULL_OCTETS


@dataclass
class Story:
    """What one link carried: packets that count one by one, and what there was of all others."""

    in_order: list[Alike] = field(default_factory=list)
    at_all: set[Alike] = field(default_factory=set)

    def add(self, item: Alike) -> None:
        if item.kind in ONE_BY_ONE:
            self.in_order.append(item)
        else:
            self.at_all.add(item)

    def kinds(self) -> set[Kind]:
        return {item.kind for item in (*self.in_order, *self.at_all)}

    def differences(self, name: str, other: Story, other_name: str) -> Iterator[str]:
        for only, items in ((name, self.at_all - other.at_all), (other_name, other.at_all - self.at_all)):
            for item in sorted(items, key=str):
                yield f"only {only} has {item}"
        if self.in_order != other.in_order:
            for only, ours, theirs in (
                (name, self.in_order, other.in_order),
                (other_name, other.in_order, self.in_order),
            ):
                for item in ours:
                    if item not in theirs:
                        yield f"only {only} has {item}"
            counts = f"{len(self.in_order)} packets by {name}, {len(other.in_order)} by {other_name}"
            yield f"{counts}, perhaps in another order"


class Recorder:
    """All links of a lab, read by whoever waits for something."""

    def __init__(self, client: Client) -> None:
        self.links = [link.name for link in client.model.links]
        places = [place for link in self.links for place in resolve_where(client.model, link)]
        self.source = FrameSource(client, places)
        self.stories = {link: Story() for link in self.links}
        self.times: Counter[Alike] = Counter()

    def read(self, within_s: float) -> None:
        """Take what is there, or what comes first."""
        poll = select.poll()
        for fd in self.source.fds():
            poll.register(fd, select.POLLIN)
        ready = [fd for fd, _ in poll.poll(within_s * 1000)]
        for frame in self.source.read(ready):
            for item in alike(frame.data, frame.partial_checksum):
                self.stories[self.links[frame.place]].add(item)
                self.times[item] += 1

    def questions_and_answers(self, mac: bytes, address: Address) -> tuple[int, int]:
        """How often the device with this MAC address asked who has the address, and was answered."""
        about = [
            (item.octets, times)
            for item, times in self.times.items()
            if item.kind in ("arp", "nd") and address.packed in item.octets
        ]
        questions = sum(times for octets, times in about if octets[6:12] == mac and octets[0] & 1)
        return questions, sum(times for octets, times in about if octets[:6] == mac)

    def until(self, condition: Callable[[], bool], within_s: float) -> bool:
        """Read until the condition holds; whether it does within the time."""
        end = time.monotonic() + within_s
        while not condition():
            if time.monotonic() > end:
                return False
            self.read(0.05)
        return True


def record(client: Client) -> dict[str, Story]:
    """Run the exchanges in a lab; the story of each link."""
    recorder = Recorder(client)
    with recorder.source, contextlib.ExitStack() as stack:
        netns: dict[str, int] = {}
        for node in client.model.nodes:
            for space in node.namespaces:
                path = f"/proc/{client.supervisor_pid}/root/run/netns/{space}"
                netns[space] = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
                stack.callback(os.close, netns[space])
                with inside(netns[space]):
                    # See tests/alike.py on flow labels.
                    sysctl.write("net/ipv6/auto_flowlabels", "0")
        restart_sessions(client, recorder)
        settle_routes(recorder, netns.values())
        hosts = {host.name: host for host in client.model.hosts}
        flows = [*FLOWS]
        for space, name in [*(("pc1", name) for name in OUTSIDE), ("teams", "cdn")]:
            (interface,) = hosts[name].interfaces
            flows += [(space, str(item.ip)) for item in interface.addresses if item.version == 4]
        owners = {str(item.ip): host.namespace for host in hosts.values() for i in host.interfaces
                  for item in i.addresses}  # fmt: skip
        for space, target in flows:
            exchange(recorder, netns[space], ip_address(target), netns.get(owners.get(target, "")))
        for fd in netns.values():
            ask_neighbors(recorder, fd)
        recorder.source.count_drops()
        assert sum(recorder.source.dropped) == 0
    return recorder.stories


def restart_sessions(client: Client, recorder: Recorder) -> None:
    """All BGP sessions anew, so that their beginning is on the wire; BFD with them."""
    for space in client.status()["daemons"]:
        bird = client.bird(space)
        for protocol in bird.protocols():
            if protocol.proto == "BGP":
                bird.restart(protocol.name)

    def back() -> bool:
        recorder.read(0.5)
        return not client.request("wait", wait_s=0.0)["pending"]

    assert recorder.until(back, DEADLINE_S), "the sessions do not return"


def settle_routes(recorder: Recorder, spaces: Collection[int]) -> None:
    """Wait until the routes have stayed as they are for QUIET_S: of equal paths all are there by then.

    An established session has told nothing yet, and a packet that is early takes the one path there is.
    """
    last: list[frozenset[bytes]] = []
    since = 0.0

    def quiet() -> bool:
        nonlocal last, since
        now = [routes(fd) for fd in spaces]
        if now != last:
            last, since = now, time.monotonic()
        recorder.read(0.2)
        return time.monotonic() - since > QUIET_S

    assert recorder.until(quiet, DEADLINE_S), "the routes do not settle"


def routes(netns: int) -> frozenset[bytes]:
    """The routes of a namespace as the kernel tells them, without what they counted."""
    with RouteSocket(netns) as route:
        dumped = route.dump(nl.Request(nl.RTM_GETROUTE, nl.NLM_F_DUMP, bytes(RTMSG_OCTETS)))
    found = []
    for message in dumped:
        kept = {k: v for k, v in nl.attributes(message.payload, RTMSG_OCTETS).items() if k != RTA_CACHEINFO}
        found.append(message.payload[:RTMSG_OCTETS] + repr(sorted(kept.items())).encode())
    return frozenset(found)


def exchange(recorder: Recorder, netns: int, target: Address, owner: int | None) -> None:
    """An echo there and back; then datagrams, with an answer from a host of ours."""
    six = target.version == 6
    family, protocol = (socket.AF_INET6, PROTO_ICMP6) if six else (socket.AF_INET, PROTO_ICMP)
    with inside(netns):
        echo = socket.socket(family, socket.SOCK_RAW, protocol)
        datagram = socket.socket(family, socket.SOCK_DGRAM)
    with echo, datagram:
        request = struct.pack("!BBHHH", 128 if six else 8, 0, 0, MARK, 1) + bytes(range(56))
        if not six:
            request = request[:2] + struct.pack("!H", checksum(request)) + request[4:]
        echo.sendto(request, (str(target), 0))
        answered = 129 if six else 0

        def is_answer() -> bool:
            while select.select([echo], [], [], 0)[0]:
                message = echo.recv(2048)[0 if six else 20 :]
                if message[0] == answered and message[4:8] == request[4:8]:
                    return True
            return False

        assert recorder.until(is_answer, ANSWER_S), f"no echo from {target}"
        if owner is None:
            return
        with inside(owner):
            server = socket.socket(family, socket.SOCK_DGRAM)
        with server:
            server.bind(("", MARK))
            # Not connected: the kernel would draw a hash for the socket, and take it where paths are equal.
            datagram.bind(("", MARK))
            option = (socket.IPPROTO_IPV6, 23) if six else (socket.IPPROTO_IP, 10)
            datagram.setsockopt(*option, 2)  # never fragment: IP_MTU_DISCOVER, IP_PMTUDISC_DO
            for size in (32, FULL_OCTETS - (40 if six else 20) - 8):
                datagram.sendto(bytes(size), (str(target), MARK))
                assert recorder.until(lambda: bool(select.select([server], [], [], 0)[0]), ANSWER_S), target
                data, peer = server.recvfrom(2048)
                assert len(data) == size
                server.sendto(b"taken", peer)
                assert recorder.until(lambda: bool(select.select([datagram], [], [], 0)[0]), ANSWER_S)
                assert datagram.recv(100) == b"taken"


def checksum(message: bytes) -> int:
    total = sum(struct.unpack(f"!{len(message) // 2}H", message))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def ask_neighbors(recorder: Recorder, netns: int) -> None:
    """Have a namespace forget its neighbours and ask for each again by broadcast or multicast.

    One namespace after the other: who was just asked knows the asker, and would not ask himself.
    """
    links = [link for link in readings.links(netns) if link.name not in OF_MODULES]
    macs = {link.name: nl.mac_octets(link.mac) for link in links}
    known = {
        (n.address, n.device) for n in readings.neighbors(netns) if n.mac and not n.address.is_link_local
    }
    for address, device in sorted(known, key=str):
        family = socket.AF_INET6 if address.version == 6 else socket.AF_INET
        before = recorder.questions_and_answers(macs[device], address)

        def both(before: tuple[int, int], mac: bytes, address: Address) -> bool:
            now = recorder.questions_and_answers(mac, address)
            return now[0] > before[0] and now[1] > before[1]

        end = time.monotonic() + DEADLINE_S
        done = False
        while not done:
            assert time.monotonic() < end, f"nobody asks for {address} at {device}"
            forget(netns, address, device)
            with inside(netns):
                sender = socket.socket(family, socket.SOCK_DGRAM)
            with sender:
                sender.sendto(b"", (str(address), 9))
            done = recorder.until(partial(both, before, macs[device], address), 1.0)


def forget(netns: int, address: IPv4Address | IPv6Address, device: str) -> None:
    with inside(netns):
        index = socket.if_nametoindex(device)
    family = socket.AF_INET6 if address.version == 6 else socket.AF_INET
    payload = struct.pack("=BxxxiHBB", family, index, 0, 0, 0) + nl.attribute(NDA_DST, address.packed)
    with RouteSocket(netns) as route:
        # Refused when the entry has gone by itself.
        route.transact([nl.Request(RTM_DELNEIGH, 0, payload)])
