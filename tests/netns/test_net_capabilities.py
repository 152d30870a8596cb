"""Capabilities of this machine, found out by trying, against what other programs say of it."""

from __future__ import annotations

import os
import subprocess

import pytest

from edge.errors import CapabilityError
from edge.net.capabilities import PACKAGES, Asked, Capabilities, choose_realisation, probe
from edge.net.survey import queues, survey

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
    assert len(listed) == len(found.all()) == 12
    assert found.is_root == (os.geteuid() == 0)


@pytest.mark.parametrize("asked", ["auto", "kernel", "bpf"])
def test_what_a_deploy_tries_decides_as_all_does(asked: Asked) -> None:
    def decided(capabilities: Capabilities) -> str:
        try:
            return f"{choose_realisation(capabilities, asked)} {capabilities.packet_rules}"
        except CapabilityError as error:
            return error.missing

    assert decided(probe(deciding=asked)) == decided(probe())


@pytest.mark.parametrize("queue", ["htb", "tbf", "fq_codel", "cake", "netem", "clsact"])
def test_the_survey_agrees_with_tc_about_queues(sandbox, queue: str) -> None:
    options = {"tbf": "rate 1mbit burst 64k limit 1m"}.get(queue, "")
    command = f"tc qdisc add dev lo {'clsact' if queue == 'clsact' else 'root ' + queue} {options}"
    tried = subprocess.run(command.split(), capture_output=True, text=True)
    (told,) = (item for item in queues() if item.name.lower() == queue)
    assert told.ok == (tried.returncode == 0), (told, tried.stderr)


def test_the_survey_tells_everything_with_a_way_out_for_each_lack() -> None:
    told = survey()
    assert os.uname().release in told.system
    assert {finding.group for finding in told.findings} == {
        *("rights", "tags", "links", "queues", "packet rules", "programs"),
    }
    for finding in told.findings:
        assert bool(finding.capability.remedy) != finding.capability.ok
    names = {finding.capability.name for finding in told.findings}
    assert names >= {item.name for item in told.capabilities.all()}
    versions = [f.capability.detail for f in told.findings if f.group == "programs" and f.capability.ok]
    assert all(detail.split()[1][0].isdigit() for detail in versions)


def test_the_probe_agrees_with_nft_about_nftables(sandbox) -> None:
    found = probe()
    text = "table inet t { chain c { type nat hook postrouting priority 100; }; }"
    tried = subprocess.run(["nft", "-f", "-"], input=text, capture_output=True, text=True)
    assert (found.packet_rules == "nft") == (tried.returncode == 0), (found.nft, tried.stderr)
