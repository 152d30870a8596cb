"""Markings through the kernel's front door: by BPF and by nftables, with equal packets and equal counters."""

from __future__ import annotations

import socket
import struct
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from ipaddress import ip_interface

import pytest
from net_helpers import create_all, delete_all, reconcile

from edge.errors import CapabilityError, KernelError
from edge.fastpath.markcounters import MarkingCounters
from edge.fastpath.markplane import MarkPlane
from edge.fastpath.tagplane import TagPlane
from edge.model import Tag
from edge.net.kernel import Kernel
from edge.net.marking_nft import NftMarkPlane
from edge.net.objects.base import Endpoint, KernelObject
from edge.net.objects.changes import Change
from edge.net.objects.devices import AdminUp, Macvlan, Namespace, Veth
from edge.net.objects.frames import Marking, SubinterfaceTags
from edge.net.objects.routing import DeviceAddress
from edge.qos.model import Policy, Rule
from edge.qos.profiles import profile
from tests import oracle

CE, MSEE = Endpoint("ce", "ams1"), Endpoint("msee", "ams1")
WIRE = Veth(CE, MSEE, 1508, "02:00:00:00:01:0a", "02:00:00:00:01:0b")
ADDRESSES = [
    DeviceAddress(at, ip_interface(text))
    for at, texts in ((CE, ("192.0.2.1/24", "2001:db8::1/64")), (MSEE, ("192.0.2.2/24", "2001:db8::2/64")))
    for text in texts
]
NET: list[KernelObject] = [Namespace("ce"), Namespace("msee"), WIRE, AdminUp(CE), AdminUp(MSEE), *ADDRESSES]
TEAMS = Marking(CE, "egress", profile("teams"), "out", "mark", tree=0)
KNOB = Marking(MSEE, "ingress", Policy("service", ()), "out", "steer", msee="remark")
MARK = b"marking-test"
STUN = struct.pack("!HHI", 1, 0, 0x2112A442) + bytes(12) + MARK
RTP = bytes((0x80, 111)) + bytes(10) + MARK


def open_kernel(sandbox, way: str) -> Iterator[Kernel]:
    plane = None
    if way == "bpf":
        reason = MarkPlane.probe()
        if reason is not None:
            pytest.skip(reason)
        plane = MarkPlane()
    kernel = Kernel(netns_directory=sandbox.netns_directory, mark_plane=plane or "nft")
    yield kernel
    kernel.close()
    if plane is not None:
        plane.close()


@pytest.fixture(params=["bpf", "nft"])
def marked(sandbox, request) -> Iterator[Kernel]:
    yield from open_kernel(sandbox, request.param)


def counters(kernel: Kernel, obj: Marking) -> MarkingCounters:
    plane = kernel.mark_plane
    assert isinstance(plane, MarkPlane | NftMarkPlane)
    found = plane.counters().marking(obj)
    assert found is not None
    return found


def test_markings_are_found_changed_and_gone(marked: Kernel) -> None:
    wanted = [*NET, TEAMS, KNOB]
    create_all(marked, wanted)
    assert marked.found(wanted) == set(wanted)
    dropping = replace(KNOB, msee="drop")
    skype = replace(TEAMS, policy=profile("skype-online"), tree=None)
    assert marked.apply([Change(KNOB, dropping), Change(TEAMS, skype)]) == [None, None]
    assert {dropping, skype} <= marked.found(wanted)
    assert reconcile(marked, wanted) == [None, None]
    assert marked.found(wanted) == set(wanted)
    delete_all(marked, [TEAMS, KNOB])
    assert marked.found(NET) == set(NET)
    assert marked.apply([Change(TEAMS, None)]) == [None]
    delete_all(marked, NET)


def test_a_marking_whose_device_was_made_anew_is_missed_and_put_back(marked: Kernel, request) -> None:
    wanted = [*NET, TEAMS, KNOB]
    create_all(marked, wanted)
    assert marked.apply([Change(WIRE, None)]) == [None]
    if request.node.callspec.params["marked"] == "bpf":
        assert not {TEAMS, KNOB} & marked.found(wanted)
    assert all(error is None for error in reconcile(marked, wanted))
    assert marked.found(wanted) == set(wanted)


def test_a_table_that_somebody_changed_is_missed_and_put_back(sandbox) -> None:
    for kernel in open_kernel(sandbox, "nft"):
        create_all(kernel, [*NET, TEAMS])
        sandbox.run("ip", "netns", "exec", "ce", "nft", "flush", "chain", "inet", "edge_marking", "egress")
        assert TEAMS not in kernel.found([*NET, TEAMS])
        assert reconcile(kernel, [*NET, TEAMS]) == [None]
        assert TEAMS in kernel.found([*NET, TEAMS])


def test_what_nftables_cannot_do_is_refused_and_the_rest_stays(sandbox) -> None:
    for kernel in open_kernel(sandbox, "nft"):
        create_all(kernel, [*NET, TEAMS])
        tagged = replace(TEAMS, outer=Tag(3))
        (error,) = kernel.apply([Change(None, tagged)])
        assert isinstance(error, KernelError)
        assert "do not see tags" in str(error)
        assert kernel.found([*NET, TEAMS]) == {*NET, TEAMS}


def test_without_a_plane_the_machine_lacks_something(sandbox) -> None:
    kernel = Kernel(netns_directory=sandbox.netns_directory)
    create_all(kernel, NET)
    (error,) = kernel.apply([Change(None, TEAMS)])
    assert isinstance(error, CapabilityError)
    assert "nothing that marks" in str(error)
    assert kernel.found(NET) == set(NET)
    kernel.close()


def receive(kernel: Kernel) -> socket.socket:
    tap = kernel.socket("msee", socket.AF_PACKET, socket.SOCK_DGRAM)
    tap.bind(("ams1", 3))
    tap.settimeout(5)
    return tap


def histogram(tap: socket.socket, count: int) -> Counter[tuple[int, int, int]]:
    """(version, DSCP, ECN) of the next `count` datagrams of the test."""
    seen: Counter[tuple[int, int, int]] = Counter()
    while sum(seen.values()) < count:
        packet, address = tap.recvfrom(2048)
        if MARK not in packet or address[2] == socket.PACKET_OUTGOING:
            continue
        traffic_class = packet[1] if packet[0] >> 4 == 4 else int.from_bytes(packet[:2], "big") >> 4 & 0xFF
        seen[packet[0] >> 4, traffic_class >> 2, traffic_class & 3] += 1
    return seen


def talk(kernel: Kernel) -> int:
    """Datagrams from and to all ports that profiles know, of several DSCPs and payloads; how many."""
    sent = 0
    ports = (53, 3478, 3479, 3480, 3481, 5060, 49999, 50000, 50019, 50020, 50040, 50059, 50060)
    for family, option, level, address in (
        (socket.AF_INET, socket.IP_TOS, socket.IPPROTO_IP, "192.0.2.2"),
        (socket.AF_INET6, socket.IPV6_TCLASS, socket.IPPROTO_IPV6, "2001:db8::2"),
    ):
        for port in ports:
            with kernel.socket("ce", family, socket.SOCK_DGRAM) as sock:
                sock.bind(("", port))
                for traffic_class in (0, 46 << 2 | 1, 18 << 2, 26 << 2 | 2):
                    sock.setsockopt(level, option, traffic_class)
                    for payload in (MARK, STUN, RTP):
                        for target in (40000, 3478, 3479):
                            sock.sendto(payload, (address, target))
                            sent += 1
    return sent


def everything() -> Policy:
    """The teams profile, with what it does not ask for in front."""
    rules = (
        Rule("rtp", "files", 10, protocols=(17,), source_ports=(53, 53), hint="rtp"),
        Rule("stun", "video", 34, destination_ports=(3478, 3478), hint="stun"),
        Rule("signalling", "sharing", None, existing_dscp=(26,), source_ports=(5060, 5061)),
    )
    teams = profile("teams")
    return replace(teams, rules=(*rules, *teams.rules))


@pytest.mark.shows("marking by packet rules of nftables, as programs do", here="any")
@pytest.mark.parametrize("treatment", ["mark", "steer"])
@pytest.mark.parametrize("which", ["teams", "more"])
def test_nftables_and_bpf_mark_and_count_alike(sandbox, treatment: str, which: str) -> None:
    policy = profile("teams") if which == "teams" else everything()
    obj = replace(TEAMS, policy=policy, treatment=treatment)
    results = []
    for way in ("bpf", "nft"):
        for kernel in open_kernel(sandbox, way):
            create_all(kernel, [*NET, obj])
            with receive(kernel) as tap:
                tap.setsockopt(socket.SOL_SOCKET, 33, 1 << 23)  # SO_RCVBUFFORCE
                seen = histogram(tap, talk(kernel))
            found = counters(kernel, obj)
            # What the kernel itself says meanwhile (neighbour discovery) is of no rule; frames that are no IP
            # packets nftables does not see.
            rules = {rule.name: (rule.class_name, rule.counts) for rule in found.rules}
            classes = {item.name: item.counts for item in found.classes if item.name != "default"}
            results.append((seen, rules, classes))
            delete_all(kernel, [*NET, obj])
    assert results[0] == results[1]
    seen, rules, classes = results[0]
    assert sum(counts.packets for counts in classes.values()) > 100
    assert len([dscp for _, dscp, _ in seen]) >= 6
    if treatment == "steer":
        assert not any(counts.remarked for counts in classes.values())


def payloads() -> list[bytes]:
    """Media as it is, and each with one thing about it that makes it something else."""
    stun, rtp = STUN[:20], RTP[:12]
    found = [whole[:length] for whole in (stun, rtp, RTP) for length in range(len(whole) + 1)]
    for bit in range(8 * 8):
        changed = bytearray(stun)
        changed[bit // 8] ^= 0x80 >> bit % 8
        found.append(bytes(changed) + MARK)
    found += [bytes((first, second)) + rtp[2:] for first in (0x3F, 0x40, 0x80, 0x9F, 0xBF, 0xC0)
              for second in (0, 63, 64, 95, 96, 127, 128 + 63, 128 + 64, 128 + 95, 128 + 96)]  # fmt: skip
    return found


def fragments_and_options() -> list[bytes]:
    """IPv4 packets that no socket for UDP sends: with options, first and later fragments, a cut header."""
    packets = []
    for payload in (STUN, RTP):
        udp = struct.pack("!4H", 4000, 5000, 8 + len(payload), 0) + payload
        for options, fragment in ((b"", 0), (b"\1\1\1\0", 0), (b"", 0x2000), (b"", 0x2001), (b"", 0x0001)):
            head = struct.pack("!BBHHHBBH", 0x45 + len(options) // 4, 26 << 2, 0, 7, fragment, 64, 17, 0)
            addresses = socket.inet_aton("192.0.2.1") + socket.inet_aton("192.0.2.2")
            packets += [head + addresses + options + udp[:length] for length in (16, 24, 27, 28, len(udp))]
    return packets


def test_nftables_takes_the_payloads_that_the_oracle_takes(sandbox) -> None:
    """Every packet that left is judged by the oracle as it was before: with DSCP 26."""
    policy = Policy("hints", (Rule("stun", "video", 34, hint="stun"), Rule("rtp", "files", 10, hint="rtp")))
    obj = replace(TEAMS, policy=policy)
    for kernel in open_kernel(sandbox, "nft"):
        create_all(kernel, [*NET, obj])
        with receive(kernel) as tap, kernel.socket("ce", socket.AF_INET, socket.SOCK_RAW, 255) as raw:
            tap.setsockopt(socket.SOL_SOCKET, 33, 1 << 23)  # SO_RCVBUFFORCE
            sent = 0
            for family, level, option, address in (
                (socket.AF_INET, socket.IPPROTO_IP, socket.IP_TOS, "192.0.2.2"),
                (socket.AF_INET6, socket.IPPROTO_IPV6, socket.IPV6_TCLASS, "2001:db8::2"),
            ):
                with kernel.socket("ce", family, socket.SOCK_DGRAM) as sock:
                    sock.setsockopt(level, option, 26 << 2)
                    for payload in payloads():
                        sent += bool(sock.sendto(payload, (address, 5000))) or not payload
            for packet in fragments_and_options():
                sent += bool(raw.sendto(packet, ("192.0.2.2", 0)))
            judged: Counter[int] = Counter()
            while sum(judged.values()) < sent:
                packet, address = tap.recvfrom(2048)
                version = packet[0] >> 4
                if packet[9 if version == 4 else 6] != 17:
                    continue
                head = int.from_bytes(packet[:2], "big")
                place = 2 if version == 4 else 6
                before = (head & ~(0x3F << place) | 26 << place).to_bytes(2, "big") + packet[2:]
                frame = bytes(12) + {4: b"\x08\0", 6: b"\x86\xdd"}[version] + before
                verdict, _ = oracle.verdict(frame, policy, "out", "mark")
                assert head >> place & 0x3F == verdict.dscp, packet.hex()
                judged[verdict.dscp] += 1
        assert min(judged[dscp] for dscp in (34, 10, 0)) > 10
        counted = {rule.name: rule.counts.packets for rule in counters(kernel, obj).rules}
        assert counted == {"stun": judged[34], "rtp": judged[10]}


@pytest.mark.parametrize("knob", ["pass", "remark", "drop"])
def test_the_knob_does_the_same_in_nftables_and_bpf(sandbox, knob: str) -> None:
    obj = replace(KNOB, msee=knob)
    results = []
    for way in ("bpf", "nft"):
        for kernel in open_kernel(sandbox, way):
            create_all(kernel, [*NET, obj])
            with kernel.socket("msee", socket.AF_INET, socket.SOCK_DGRAM) as receiver:
                receiver.settimeout(5)
                receiver.bind(("", 40000))
                receiver.setsockopt(socket.IPPROTO_IP, socket.IP_RECVTOS, 1)
                with kernel.socket("ce", socket.AF_INET, socket.SOCK_DGRAM) as sock:
                    for dscp in (46, 26, 24, 10, 0):
                        sock.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, dscp << 2 | 1)
                        sock.sendto(MARK, ("192.0.2.2", 40000))
                    sock.sendto(b"last", ("192.0.2.2", 40000))
                got = []
                while True:
                    data, control, _, _ = receiver.recvmsg(100, 100)
                    if data == b"last":
                        break
                    got.append(next(value[0] for _, kind, value in control if kind == socket.IP_TOS))
            total = counters(kernel, obj).total
            results.append((got, total.unknown, total.remarked, total.dropped))
            delete_all(kernel, [*NET, obj])
    kept = {"pass": [46, 26, 24, 10, 0], "remark": [46, 0, 0, 10, 0], "drop": [46, 10, 0]}[knob]
    expected = ([dscp << 2 | 1 for dscp in kept], 2, 2 * (knob == "remark"), 2 * (knob == "drop"))
    assert results == [expected, expected]


def test_a_lab_gets_marking_without_its_tags_being_touched(sandbox) -> None:
    """Quality of service switched on in a lab that runs: marking comes before the tags that were there."""
    for probe in (TagPlane.probe(), MarkPlane.probe()):
        if probe is not None:
            pytest.skip(probe)
    sub = Endpoint("ce", "ams1.200")
    tagged: list[KernelObject] = [
        *NET,
        Macvlan(sub, "ams1", 1500, "02:00:00:00:04:0a"),
        AdminUp(sub),
        DeviceAddress(sub, ip_interface("198.51.100.1/30")),
        SubinterfaceTags(sub, CE, (Tag(3), Tag(200))),
    ]
    with_qos = [*tagged, replace(TEAMS, at=sub)]
    tags, marks = TagPlane(), MarkPlane()
    kernel = Kernel(netns_directory=sandbox.netns_directory, tag_plane=tags, mark_plane=marks)
    create_all(kernel, tagged)
    assert reconcile(kernel, with_qos) == [None]
    neighbour = "ip -n ce neigh add 198.51.100.2 lladdr 02:00:00:00:09:09 dev ams1.200"
    sandbox.run(*neighbour.split())
    with receive(kernel) as tap, kernel.socket("ce", socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("198.51.100.1", 50005))
        sock.sendto(MARK, ("198.51.100.2", 9))
        packet = next(data for data in iter(lambda: tap.recv(2048), b"") if MARK in data)
    # The outermost tag is in metadata; before the packet stands what is left of the inner one.
    assert packet[:4] == bytes.fromhex("00c8 0800")
    assert packet[5] >> 2 == 46
    assert reconcile(kernel, tagged) == [None]
    assert kernel.found(tagged) == set(tagged)
    kernel.close()
    marks.close()
    tags.close()
