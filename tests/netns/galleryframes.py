"""What must stand in a capture of a whole lab: nothing malformed, tags, DSCP and BGP as they were ordered."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from labs import Labs, until
from recorded import ERROR, FAULTS, WRONG, tshark

from edge.bgp.policy import protocol_name
from edge.model import Session
from lab.client import Client
from lab.model import LabModel, PeeringEnd
from lab.state import RunDirectory

OPEN, UPDATE = "1", "2"
CS6 = "48"
MICROSOFT = "12076"
HEADERS = 14 + 2 * 4 + 20
"""Of Ethernet, two tags and IPv4: the addresses are in there."""
BGP_MARKER = 16
BGP_MESSAGE = re.compile(rb"\xff{%d,}(?P<length>[^\xff].)(?P<kind>.)" % BGP_MARKER, re.DOTALL)
"""How a message begins (RFC 4271, 4.1). What is before the marker can end in its octet too."""


@dataclass(frozen=True)
class Restarted:
    """A session that began anew while frames were captured: the MSEE's end of it."""

    end: PeeringEnd
    session: Session


def restart_a_session(labs: Labs, model: LabModel) -> Restarted:
    """Have an MSEE begin a session with the customer anew: a Microsoft peering's where there is one.

    That of the secondary connection, for lessons break the primary.
    """
    ends = [end for end in model.peering_ends if (end.side, end.connection) == ("microsoft", "secondary")]
    end = min(ends, key=lambda one: one.peering != "microsoft")
    session = next(
        session
        for router in model.routers
        for vrf in router.vrfs
        for session in vrf.sessions
        if (vrf.namespace, session.interface, session.family) == (end.namespace, end.device, 4)
    )
    with Client(RunDirectory(labs.directory / model.name)) as client:
        client.bird(end.namespace).restart(protocol_name(session))
    return Restarted(end, session)


def wait_for(labs: Labs, model: LabModel, restarted: Restarted, path: Path) -> None:
    """Until the session that began anew is up, and what it told is in the capture."""
    name = protocol_name(restarted.session)
    with Client(RunDirectory(labs.directory / model.name)) as client:
        bird = client.bird(restarted.end.namespace)
        until(lambda: bird.protocols(name)[0].established, f"{name} in {restarted.end.namespace}", 60.0)
    # Checks need not have waited for it; and it is Established before its first UPDATE is sent.
    until(lambda: has_told(path.read_bytes(), restarted.session), f"an UPDATE of {name} in {path.name}")


def has_told(pcapng: bytes, session: Session) -> bool:
    """Whether an UPDATE with Microsoft's AS number stands behind an OPEN of this end."""
    way = session.local.packed + session.neighbor.packed
    opened = False
    for frame in frames(pcapng):
        at = frame.find(way, 0, HEADERS)
        if at < 0:
            continue
        for found in BGP_MESSAGE.finditer(frame, at):
            length, kind = int.from_bytes(found["length"], "big"), str(found["kind"][0])
            begin = found.start("length") - BGP_MARKER
            opened = opened or kind == OPEN
            if (
                opened
                and kind == UPDATE
                and int(MICROSOFT).to_bytes(4, "big") in frame[begin : begin + length]
            ):
                return True
    return False


def frames(pcapng: bytes) -> Iterator[bytes]:
    """The octets of each frame, as far as its block is there already (pcapng, Enhanced Packet Block)."""
    at = 0
    while at + 28 <= len(pcapng):
        kind, length = struct.unpack_from("=II", pcapng, at)
        if kind == 6:
            (captured,) = struct.unpack_from("=I", pcapng, at + 20)
            yield pcapng[at + 28 : at + 28 + captured]
        at += length


def assert_reads_well(model: LabModel, path: Path, restarted: Restarted) -> None:
    """tshark finds nothing wrong, and reads the new session with tags, DSCP, MD5 and communities."""
    end, session = restarted.end, restarted.session
    between = f"ip.addr == {session.local} && ip.addr == {session.neighbor} && tcp.port == 179"
    place = ("frame.interface_name", "ieee8021ad.id", "vlan.id", "ip.src", "ip.dsfield.dscp")
    attribute = "bgp.update.path_attribute"
    bgp = (
        "bgp.type",
        f"{attribute}.community_as",
        "tcp.options.md5.digest",
        f"{attribute}.as_path_segment.as4",
    )
    # One pass of tshark: what is wrong anywhere, and the session's frames.
    rows = tshark(path, *place, *bgp, *FAULTS, only=f"({WRONG}) || ({between})")
    wrong = [row for row in rows if row[-2] or ERROR in row[-1].split(",")]
    assert not wrong, wrong
    # The way of a peering has more places than one; at each its frames bear the tags that were ordered.
    vids = ",".join(str(tag.vid) for tag in end.tags)
    wires = [row for row in rows if ",".join(filter(None, row[1:3])) == vids]
    assert {row[0] for row in wires} & wires_of(model, end), f"no BGP under {vids}"
    strays = [row for row in rows if row[0] in wires_of(model, end) and row not in wires]
    assert not strays, f"BGP under other tags than {vids}: {strays}"
    opened = {row[3] for row in wires if OPEN in row[5].split(",")}
    assert opened == {str(session.local), str(session.neighbor)}, f"OPEN from {opened} only"
    told = [row for row in wires if row[3] == str(session.local) and UPDATE in row[5].split(",")]
    assert any(MICROSOFT in row[8].split(",") for row in told), "no UPDATE with Microsoft's AS number"
    # What the kernel answers for a connection that is gone already has no key any more.
    signed = {bool(row[7]) for row in wires if row[5]}
    assert signed == {session.password is not None}, f"MD5 option: {signed}"
    # The service knows no CS6 on a Microsoft peering: what marks there, marks it 0.
    marked = {row[4] for row in wires if row[3] == str(session.local)}
    assert marked == {CS6 if end.peering == "private" else "0"}, f"DSCP {marked}"
    if end.peering == "microsoft":
        assert any(MICROSOFT in row[6].split(",") for row in told), "no community of Microsoft in an UPDATE"


def wires_of(model: LabModel, end: PeeringEnd) -> set[str]:
    """The places at which a capture of all links sees an MSEE's port."""
    ports = {
        f"{router.namespace}:{router.wire(sub.port)}"
        for router in model.routers
        for vrf in router.vrfs
        for sub in vrf.subinterfaces
        if (vrf.namespace, sub.name) == (end.namespace, end.device)
    }
    found = {str(at) for link in model.links for at in (link.a, link.b) if ports & {str(link.a), str(link.b)}}
    assert found
    return found
