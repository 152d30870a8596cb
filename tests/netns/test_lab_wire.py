"""The frames of the reference lab, read by tshark from our capture: the tags that are on the wire."""

from __future__ import annotations

import shutil
import subprocess

import pytest
from labs import Labs, contoso, until

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not installed"),
]


def fields(path: object, display: str) -> list[list[str]]:
    """[ethertype of the frame, VLAN ids outermost first] of each frame that `display` selects.

    tshark calls the id of an 802.1ad tag by another name.
    """
    done = subprocess.run(
        [
            "tshark",
            "-r",
            str(path),
            "-Y",
            display,
            "-T",
            "fields",
            "-e",
            "eth.type",
            "-e",
            "ieee8021ad.id",
            "-e",
            "vlan.id",
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    rows = [line.split("\t") for line in done.stdout.splitlines()]
    return [[ethertype, ",".join(ids for ids in tags if ids)] for ethertype, *tags in rows]


@pytest.mark.parametrize("outer", ["0x8100", "0x88a8"])
def test_s_tag_and_c_tag_stand_around_every_protocol_on_the_cross_connect(labs: Labs, outer: str) -> None:
    document = contoso()
    document["circuits"]["ams"]["handoff"]["outer_ethertype"] = int(outer, 16)
    labs.ok("deploy", "-t", str(labs.file(document)))
    capture = labs.scratch / "cross.pcapng"
    writer = labs.popen("capture", "contoso", "ams-primary", "-w", str(capture), stderr=subprocess.PIPE)
    until(capture.exists, "the capture begins")
    labs.inside("contoso", "ce1", "ip", "neigh", "flush", "dev", "ams1.100")
    for command in (
        ("ping", "-c", "3", "-i", "0.2", "-I", "ams1.100", "192.168.15.2"),
        ("ping", "-c", "3", "-i", "0.2", "-I", "ams1.100", "fd00:15::2"),
    ):
        labs.inside("contoso", "ce1", *command)
    labs.inside("contoso", "ce1", "ip", "link", "set", "ams1.100", "down")
    labs.inside("contoso", "ce1", "ip", "link", "set", "ams1.100", "up")
    until(
        lambda: "Established" in labs.ok("inspect") and fields(capture, "bgp && ip.addr == 192.168.15.2"),
        "BGP is on the wire",
    )
    writer.terminate()
    writer.communicate(timeout=10)
    for display in ("arp", "icmp", "icmpv6", "bfd", "bgp"):
        frames = fields(capture, f"{display} && vlan.id == 100")
        assert frames, f"no {display} under C-tag 100"
        assert {tuple(frame) for frame in frames} == {(outer, "3,100")}, display
    assert fields(capture, "!vlan && !ieee8021ad") == [], "an untagged frame is on the cross-connect"
    assert {frame[1] for frame in fields(capture, "vlan")} == {"3,100", "3,200"}
