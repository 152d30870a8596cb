"""Capabilities of this machine, found out by trying, against what other programs say of it."""

from __future__ import annotations

import os
import subprocess

import pytest

from edge.net.capabilities import PACKAGES, probe

pytestmark = pytest.mark.kernels("here", "stock")


def test_the_probe_agrees_with_ip_about_vlan_devices(sandbox) -> None:
    sandbox.ip("link", "add", "p0", "type", "veth", "peer", "name", "p1")
    for capability, protocol in ((probe().vlan, "802.1Q"), (probe().vlan_ad, "802.1ad")):
        tried = subprocess.run(
            f"ip link add link p0 name v{protocol} type vlan protocol {protocol} id 5".split(),
            capture_output=True,
            text=True,
        )
        assert capability.ok == (tried.returncode == 0), (capability, tried.stderr)


def test_the_probe_leaves_the_caller_where_it_was_and_makes_nothing(sandbox) -> None:
    before = (os.readlink("/proc/thread-self/ns/net"), sandbox.ip("link"))
    probe()
    assert (os.readlink("/proc/thread-self/ns/net"), sandbox.ip("link")) == before


def test_a_missing_program_is_named_with_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda name, path: None)
    found = probe()
    for name, package in PACKAGES.items():
        capability = getattr(found, name)
        assert not capability.ok
        assert capability.detail == f"{name} is not installed"
        assert package in capability.remedy


def test_programs_that_run_tell_their_version() -> None:
    found = probe()
    programs = [(found.bird, "bird"), *([(found.nft, "nft")] if found.packet_rules == "nft" else [])]
    for capability, program in programs:
        if not capability.ok:
            pytest.skip(capability.detail)
        said = subprocess.run([program, "--version"], capture_output=True, text=True)
        assert capability.detail.split()[1] in said.stdout + said.stderr


def test_every_lack_comes_with_a_way_out() -> None:
    found = probe()
    for capability in found.all():
        assert capability.detail
        assert bool(capability.remedy) != capability.ok
    listed = found.to_json()["capabilities"]
    assert len(listed) == len(found.all()) == 11
    assert found.is_root == (os.geteuid() == 0)


def test_the_probe_agrees_with_nft_about_nftables(sandbox) -> None:
    found = probe()
    text = "table inet t { chain c { type nat hook postrouting priority 100; }; }"
    tried = subprocess.run(["nft", "-f", "-"], input=text, capture_output=True, text=True)
    assert (found.packet_rules == "nft") == (tried.returncode == 0), (found.nft, tried.stderr)
