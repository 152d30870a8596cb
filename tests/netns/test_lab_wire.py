"""The frames of the reference lab, read by tshark from our capture: the tags that are on the wire."""

from __future__ import annotations

import shutil
import subprocess

import pytest
from labs import Labs, contoso, established, until

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not installed"),
]


def read(path: object) -> list[tuple[str, str, set[str]]]:
    """(ethertype of the frame, VLAN ids outermost first, names of its protocols) of each frame.

    tshark calls the id of an 802.1ad tag by another name.
    """
    names = ("eth.type", "ieee8021ad.id", "vlan.id", "frame.protocols")
    done = subprocess.run(
        ["tshark", "-r", str(path), "-T", "fields", *(word for name in names for word in ("-e", name))],
        capture_output=True,
        text=True,
        check=True,
    )
    rows = [line.split("\t") for line in done.stdout.splitlines()]
    return [
        (ethertype, ",".join(ids for ids in (outer, inner) if ids), set(protocols.split(":")))
        for ethertype, outer, inner, protocols in rows
    ]


@pytest.mark.parametrize(
    "outer",
    [
        pytest.param("0x8100", marks=pytest.mark.shows("QinQ, outer 0x8100", here="bpf")),
        pytest.param(
            "0x88a8",
            marks=[
                pytest.mark.kernels("here", "stock"),
                pytest.mark.shows(
                    "QinQ, outer 0x88a8 (802.1ad)", "captures with all tags", here="bpf", stock="kernel"
                ),
            ],
        ),
    ],
)
def test_s_tag_and_c_tag_stand_around_every_protocol_on_the_cross_connect(labs: Labs, outer: str) -> None:
    document = contoso()
    document["circuits"]["ams"]["handoff"]["outer_ethertype"] = int(outer, 16)
    labs.ok("deploy", "-t", str(labs.file(document)))
    capture = labs.scratch / "cross.pcapng"
    writer = labs.fork("capture", "contoso", "ams-primary", "-w", str(capture), stderr=subprocess.PIPE)
    until(capture.exists, "the capture begins")
    labs.inside("contoso", "ce1", "ip", "neigh", "flush", "dev", "ams1.100")
    for command in (
        ("ping", "-c", "3", "-i", "0.2", "-I", "ams1.100", "192.168.15.2"),
        ("ping", "-c", "3", "-i", "0.2", "-I", "ams1.100", "fd00:15::2"),
    ):
        labs.inside("contoso", "ce1", *command)
    session = {"namespace": "ce1", "neighbor": "192.168.15.2"}
    labs.inside("contoso", "ce1", "ip", "link", "set", "ams1.100", "down")
    until(lambda: not established(labs.json("inspect"), **session), "the session goes down")
    labs.inside("contoso", "ce1", "ip", "link", "set", "ams1.100", "up")
    until(lambda: established(labs.json("inspect"), **session), "the session returns", 60.0)
    writer.terminate()
    writer.communicate(timeout=30)
    frames = read(capture)
    for name in ("arp", "icmp", "icmpv6", "bfd", "bgp"):
        seen = {(ethertype, tags) for ethertype, tags, protocols in frames if name in protocols}
        assert (outer, "3,100") in seen, f"no {name} under C-tag 100"
        assert seen <= {(outer, "3,100"), (outer, "3,200")}, name
    assert {(ethertype, tags) for ethertype, tags, _ in frames} == {(outer, "3,100"), (outer, "3,200")}
