"""ns added per forwarded packet by marking: our program at tcx beside nft, iptables-legacy and iptables-nft.

Each way has a router of its own, in fresh namespaces: one that once held iptables rules keeps its hooks
(facts: fastpath 2.1). The same frames enter each router; what a counter behind it received, by DSCP, must be
equal. Ways take turns with a router that marks nothing, and a way's cost is the median of what it took above
its neighbours.

Where code and tables happen to lie in memory makes the same way cost 50 ns or 115 ns. So all is put up anew
several times, and the median of those counts.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import statistics
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from edge.errors import CapabilityError, EdgeError
from edge.fastpath import attach
from edge.fastpath.markplane import MarkPlane
from edge.net.namespaces import inside, scratch_namespace
from edge.net.objects.base import Endpoint
from edge.net.objects.frames import Marking
from edge.qos.model import Policy, Rule
from edge.qos.names import PROTOCOL_BY_NAME, protocol_name
from tests import oracle
from tests.bench import traffic
from tests.bench.livegen import TEMPLATES, Generator, Programs, compile_programs
from tests.bench.policies import TWELVE
from tests.bench.report import Row

LIMIT_NFT, MOONSHOT_NFT = 1 / 5, 1 / 6
"""Of what nft adds with the same rules."""
MOONSHOT_TCX_NS = 80.0
NOTHING = "nothing"
"""The router that marks nothing."""

POLICY = replace(TWELVE, unmatched_dscp=None)
"""What no rule takes stays as it is, as with the rivals' rules."""

IN, OUT = "r0", "r1"
IN_INDEX, OUT_INDEX, SINK_INDEX = 10, 11, 13
OUT_MAC, SINK_MAC, IN_MAC = "02:00:00:00:00:11", "02:00:00:00:00:13", "02:00:00:00:00:02"
LEAST_RECEIVED = 0.999
"""Frames may be lost when the other end's queue is full; more than that, and the run means nothing."""

SETUP = f"""
link add {IN} index {IN_INDEX} address {IN_MAC} type veth peer name in
link add {OUT} index {OUT_INDEX} address {OUT_MAC} type veth peer name out index {SINK_INDEX} \
address {SINK_MAC} netns /proc/{{pid}}/fd/{{sink}}
link set in up
link set {IN} up
link set {OUT} up
address add 192.0.2.1/24 dev {IN}
address add 198.51.100.1/24 dev {OUT}
neighbor add 198.51.100.2 lladdr {SINK_MAC} dev {OUT} nud permanent
route add default via 198.51.100.2
route add 10.1.0.0/16 dev {IN}
"""


@dataclass(slots=True)
class Router:
    """A way to mark, in namespaces of its own. netns, sink: descriptors."""

    name: str
    netns: int
    sink: int
    generator: Generator
    samples: list[float] = field(default_factory=list)
    received: dict[int, int] = field(default_factory=dict)

    def sample(self, frames: int) -> float:
        """ns of CPU per frame, of this thread and of what the kernel puts off to its own."""
        self.generator.forget()
        with inside(self.netns):
            put_off = softirq_ns()
            spent = self.generator.run(IN_INDEX, frames) + softirq_ns() - put_off
        self.received = self.generator.received()
        return spent / frames

    def run(self, *words: str, text: str = "") -> None:
        """A program in the router's namespace. Raises EdgeError with its words."""
        enter = ["nsenter", f"--net=/proc/{os.getpid()}/fd/{self.netns}", *words]
        done = subprocess.run(enter, input=text, capture_output=True, text=True, check=False)
        if done.returncode:
            raise EdgeError(f"{' '.join(words)}: {done.stderr or done.stdout}")


Apply = Callable[[Router, contextlib.ExitStack], None]


def run(quick: bool = False) -> Sequence[Row]:
    """All rows. Raises CapabilityError without root or clang, EdgeError when a way marks otherwise."""
    if os.geteuid() != 0:
        raise CapabilityError("forwarding takes namespaces and BPF", "run the benchmark as root")
    if (reason := MarkPlane.probe()) is not None:
        raise CapabilityError(reason)
    frames, places, rounds = (TEMPLATES * 8, 1, 2) if quick else (TEMPLATES * 400, 9, 4)
    compiled = compile_programs()
    packets = traffic.v4(TEMPLATES)
    taken: dict[str, list[float]] = {}
    notes: dict[str, str] = {}
    for _ in range(places):
        for name, spent in _at_one_place(compiled, packets, frames, rounds, notes).items():
            taken.setdefault(name, []).append(spent)
    added = {name: statistics.median(spent) for name, spent in taken.items()}
    return _rows(added.pop(NOTHING), added, notes)


def _at_one_place(
    compiled: Programs, packets: list[bytes], frames: int, rounds: int, notes: dict[str, str]
) -> dict[str, float]:
    """All put up once: ns of CPU a frame that each way adds, and what forwarding takes without any.

    notes: gets why a way cannot be had. Raises EdgeError when a way marks otherwise.
    """
    with contextlib.ExitStack() as stack, _one_processor():
        generator = Generator(compiled)
        stack.callback(generator.close)
        generator.set_templates(packets)
        base = _router(NOTHING, generator, stack)
        routers = []
        for name, apply in WAYS.items():
            router = _router(name, generator, stack)
            try:
                apply(router, stack)
            except (CapabilityError, EdgeError) as error:
                notes[name] = " ".join(str(error).split())
            else:
                routers.append(router)
        for router in (base, *routers):
            router.sample(frames)
        for _ in range(rounds):
            before = base.sample(frames)
            base.samples.append(before)
            for router in routers:
                taken = router.sample(frames)
                after = base.sample(frames)
                router.samples.append(taken - (before + after) / 2)
                before = after
        _compare(base, routers, packets, frames)
    return {router.name: statistics.median(router.samples) for router in (base, *routers)}


def _rows(base: float, added: dict[str, float], notes: dict[str, str]) -> list[Row]:
    """One row per way; ours is judged by nft."""
    ours = added.get("tcx")
    rows = [Row("forward 64 octets, no marking", "ns", base, None)]
    if ours is None:
        return [*rows, Row("added by ours at tcx", "ns", None, None, note=notes["tcx"])]
    rows.append(Row("added by ours at tcx", "ns", ours, None, None, MOONSHOT_TCX_NS))
    for name in WAYS:
        limit, moonshot = (LIMIT_NFT, MOONSHOT_NFT) if name == "nft" else (None, None)
        if name in notes:
            rows.append(Row(f"added by ours at tcx against {name}", "ns", ours, None, note=notes[name]))
        elif name != "tcx":
            rows.append(Row(f"added by ours at tcx against {name}", "ns", ours, added[name], limit, moonshot))
    return rows


def _compare(base: Router, routers: Sequence[Router], packets: Sequence[bytes], frames: int) -> None:
    """Raises EdgeError unless what left each router is what the oracle says."""
    wanted: dict[int, int] = {}
    plain: dict[int, int] = {}
    for packet in packets:
        for counts, dscp in (
            (wanted, oracle.verdict(packet, POLICY, "out", "mark")[0].dscp),
            (plain, packet[15] >> 2),
        ):
            counts[dscp] = counts.get(dscp, 0) + frames // len(packets)
    for router, expected in ((base, plain), *((router, wanted) for router in routers)):
        total = sum(router.received.values())
        same = router.received.keys() == expected.keys() and all(
            abs(router.received[dscp] - count) <= (1 - LEAST_RECEIVED) * frames
            for dscp, count in expected.items()
        )
        if total < LEAST_RECEIVED * frames or not same:
            raise EdgeError(f"{router.name}: DSCPs received {router.received}, expected {expected}")


def _router(name: str, generator: Generator, stack: contextlib.ExitStack) -> Router:
    netns, sink = stack.enter_context(scratch_namespace()), stack.enter_context(scratch_namespace())
    router = Router(name, netns, sink, generator)
    router.run("ip", "-batch", "-", text=SETUP.format(pid=os.getpid(), sink=sink))
    router.run(
        "sh", "-c", f"echo 1 > /proc/sys/net/ipv4/ip_forward; echo 0 > /proc/sys/net/ipv4/conf/{IN}/rp_filter"
    )
    with inside(sink):
        subprocess.run(["ip", "link", "set", "out", "up"], check=True)
        assert socket.if_nametoindex("out") == SINK_INDEX
    receiving = attach.attach(generator.receive, SINK_INDEX, attach.Direction.INGRESS, sink)
    stack.callback(receiving.close)
    return router


@contextlib.contextmanager
def _one_processor() -> Iterator[None]:
    """Stay on one processor, so that what is put off runs on it, too."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(before)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def softirq_ns() -> int:
    """CPU time of the kernel's threads for work that was put off (ksoftirqd), of all processors."""
    total = 0
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                if (entry / "comm").read_text().startswith("ksoftirqd/"):
                    total += int((entry / "schedstat").read_text().split()[0])
    return total


def _with_tcx(router: Router, stack: contextlib.ExitStack) -> None:
    plane = MarkPlane("tcx")
    stack.callback(plane.close)
    marking = Marking(Endpoint("router", OUT), "egress", POLICY, "out", "mark")
    plane.add(marking, index=OUT_INDEX, netns_fd=router.netns)


def _with_clsact(router: Router, stack: contextlib.ExitStack) -> None:
    plane = MarkPlane("clsact")
    stack.callback(plane.close)
    marking = Marking(Endpoint("router", OUT), "egress", POLICY, "out", "mark")
    plane.add(marking, index=OUT_INDEX, netns_fd=router.netns)


def _with_nft(router: Router, _stack: contextlib.ExitStack) -> None:
    _need("nft", "nftables")
    router.run("nft", "-f", "-", text=nft_rules(POLICY))


def _with_iptables(flavour: str) -> Apply:
    def apply(router: Router, _stack: contextlib.ExitStack) -> None:
        _need(f"iptables-{flavour}-restore", "iptables")
        router.run(f"iptables-{flavour}-restore", text=iptables_rules(POLICY))

    return apply


def _need(program: str, package: str) -> None:
    if not shutil.which(program):
        raise CapabilityError(f"no {program}", f"apt-get install {package}")


WAYS: dict[str, Apply] = {
    "tcx": _with_tcx,
    "clsact": _with_clsact,
    "nft": _with_nft,
    "iptables-legacy": _with_iptables("legacy"),
    "iptables-nft": _with_iptables("nft"),
}


def nft_rules(policy: Policy) -> str:
    """The policy's rules for nft; the first that matches ends the search, as with us. Pure."""
    lines = []
    for rule in policy.rules:
        words = []
        if rule.protocols:
            words.append(f"meta l4proto {protocol_name(rule.protocols[0])}")
        for side, ports in (("sport", rule.source_ports), ("dport", rule.destination_ports)):
            if ports:
                words.append(f"{_transport(rule)} {side} {ports[0]}-{ports[1]}" if ports[0] != ports[1]
                             else f"{_transport(rule)} {side} {ports[0]}")  # fmt: skip
        for side, prefixes in (("saddr", rule.source), ("daddr", rule.destination)):
            words += [f"ip {side} {prefix}" for prefix in prefixes]
        lines.append(f"{' '.join(words)} ip dscp set {rule.dscp} accept")
    body = "\n".join(lines)
    return f"table ip bench {{ chain forward {{ type filter hook forward priority mangle;\n{body}\n}}\n}}\n"


def iptables_rules(policy: Policy) -> str:
    """The same for iptables-restore: -j DSCP goes on to the next rule, so the last one wins. Pure."""
    lines = []
    for rule in reversed(policy.rules):
        words = ["-A FORWARD"]
        for side, prefixes in (("-s", rule.source), ("-d", rule.destination)):
            words += [f"{side} {prefix}" for prefix in prefixes]
        if rule.protocols:
            words.append(f"-p {_transport(rule)}")
        for side, ports in (("--sport", rule.source_ports), ("--dport", rule.destination_ports)):
            if ports:
                words.append(f"{side} {ports[0]}:{ports[1]}")
        lines.append(f"{' '.join(words)} -j DSCP --set-dscp {rule.dscp}")
    return "\n".join(["*mangle", *lines, "COMMIT", ""])


def _transport(rule: Rule) -> str:
    assert rule.protocols[0] in (PROTOCOL_BY_NAME["udp"], PROTOCOL_BY_NAME["tcp"])
    return protocol_name(rule.protocols[0])
