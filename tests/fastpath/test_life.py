"""The tag plane's life: what loading costs, what a dead process leaves, who may load it."""

from __future__ import annotations

import functools
import os
import platform
import signal

import pytest

from edge.errors import CapabilityError
from edge.fastpath import bpf
from edge.fastpath.program import Loaded, link_maps, shipped
from edge.fastpath.tagplane import TagPlane
from edge.net.objects.frames import SubinterfaceTags
from tests.waiting import wait_until

from .conftest import Bench, hears, tags

VERIFIER_BUDGET = 20_000


def kernel_release() -> tuple[int, int]:
    major, minor = platform.release().split(".")[:2]
    return int(major), int(minor)


@pytest.mark.root
def test_the_verifier_looks_at_few_instructions(bench: Bench) -> None:
    assert set(bench.plane._kernel.programs) == {"sub_tx", "port_rx"}
    for name, fd in bench.plane._kernel.programs.items():
        verified = bpf.verified_instructions(fd)
        if kernel_release() >= (5, 16):  # older ones do not tell
            assert verified > 0, name
        assert verified < VERIFIER_BUDGET, name


@pytest.mark.root
def test_links_vanish_with_the_process_that_holds_them(bench: Bench) -> None:
    if TagPlane.probe("tcx") is not None:
        pytest.skip("no tcx in this kernel (6.6)")
    a, b = bench.net("a"), bench.net("b")
    _, port = bench.wire(a, b)
    b.ip("link add link t0 name s0 index 900 type macvlan mode source", "link set s0 up")
    for net, address in ((a, "192.0.2.1/30"), (b, "192.0.2.2/30")):
        bench.addresses(net, "t0", address)
    hears_untagged = functools.partial(hears, a, b, "192.0.2.2", within_s=0.05)
    assert hears_untagged()

    ready, tell = os.pipe()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            plane = TagPlane()
            obj = SubinterfaceTags(b.at("s0"), b.at("t0"), tags(100))
            plane.add_subinterface(obj, sub=900, port=port, inner=None, netns_fd=b.fd)
            os.write(tell, b"!" if plane.found() == {obj} else b"?")
            signal.pause()
        finally:
            os._exit(status)
    try:
        os.close(tell)
        assert os.read(ready, 1) == b"!"
        assert not hears_untagged()
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(ready)
    wait_until(hears_untagged, "the dead process's programs to leave the port")


@pytest.mark.root
def test_a_port_is_free_at_once_although_a_child_that_starts_has_copies_of_its_descriptors(
    bench: Bench,
) -> None:
    if TagPlane.probe("tcx") is not None:
        pytest.skip("no tcx in this kernel (6.6)")
    a, b = bench.net("a"), bench.net("b")
    _, port = bench.wire(a, b)
    b.ip("link add link t0 name s0 index 900 type macvlan mode source", "link set s0 up")
    for tag in (100, 200):
        obj = SubinterfaceTags(b.at("s0"), b.at("t0"), tags(tag))
        bench.plane.add_subinterface(obj, sub=900, port=port, inner=None, netns_fd=b.fd)
        held = [*bench.plane._ports.values(), *bench.plane._subinterfaces.values()]
        copies = [os.dup(one.attachment._fd) for one in held]
        try:
            bench.plane.remove_subinterface(obj)
            bench.plane.add_subinterface(obj, sub=900, port=port, inner=None, netns_fd=b.fd)
            bench.plane.remove_subinterface(obj)
        finally:
            for copy in copies:
                os.close(copy)


@pytest.mark.root
def test_close_takes_the_programs_off_on_clsact_too(clsact_bench: Bench) -> None:
    a, b = clsact_bench.net("a"), clsact_bench.net("b")
    clsact_bench.wire(a, b)
    obj = clsact_bench.macvlan(b, "t0", "s0", tags(100))
    assert clsact_bench.plane.found() == {obj}
    assert "clsact" in b.run("tc", "qdisc", "show", "dev", "t0")
    b.run("tc", "filter", "del", "dev", "t0", "ingress")
    assert clsact_bench.plane.found() == set()
    clsact_bench.plane.remove_subinterface(obj)
    assert "clsact" not in b.run("tc", "qdisc", "show", "dev", "t0")
    assert "clsact" not in b.run("tc", "qdisc", "show", "dev", "s0")


@pytest.mark.root
def test_an_operators_clsact_survives_ours(clsact_bench: Bench) -> None:
    a, b = clsact_bench.net("a"), clsact_bench.net("b")
    clsact_bench.wire(a, b)
    b.run("tc", "qdisc", "add", "dev", "t0", "clsact")
    obj = clsact_bench.macvlan(b, "t0", "s0", tags(100))
    clsact_bench.plane.remove_subinterface(obj)
    assert "clsact" in b.run("tc", "qdisc", "show", "dev", "t0")
    assert "bpf" not in b.run("tc", "filter", "show", "dev", "t0", "ingress")


@pytest.mark.root
def test_without_rights_the_reason_and_a_way_out_are_given() -> None:
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            os.setgroups([])
            os.setgid(65534)
            os.setuid(65534)
            try:
                TagPlane()
            except CapabilityError as error:
                os.write(write, f"{TagPlane.probe()}\n{error.remedy}".encode())
                status = 0
        finally:
            os._exit(status)
    os.close(write)
    with os.fdopen(read) as words:
        reason, remedy = words.read().split("\n")
    assert os.waitpid(child, 0)[1] == 0
    assert "CAP_BPF" in reason
    assert "root" in remedy
    assert "8021q" in remedy


@pytest.mark.root
def test_the_verifiers_words_reach_the_operator() -> None:
    with pytest.raises(bpf.VerifierError, match="R0 !read_ok"):
        bpf.load_classifier("broken", bytes([0x95]) + bytes(7), "GPL")


@pytest.mark.root
def test_loading_leaves_no_descriptor(bench: Bench) -> None:
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        Loaded("tags").close()
        assert bench.plane.probe() is None
    assert len(os.listdir("/proc/self/fd")) == before


def test_only_map_loads_are_linked() -> None:
    program = shipped("tags").programs["port_rx"]
    linked = link_maps(program, dict.fromkeys(shipped("tags").maps, 77))
    changed = {
        i // 8 for i in range(0, len(linked), 8) if linked[i : i + 8] != program.instructions[i : i + 8]
    }
    assert changed == {index for index, _ in program.maps}
