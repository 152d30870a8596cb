"""Sentences about sessions that are down, counters of MD5, names of files."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path

import pytest

from edge.bgp.diagnosis import why_down
from edge.bgp.files import SOCKET_PATH_MAX, control_path, files_of, write_private
from edge.bgp.md5 import Md5Counters, parse_netstat
from edge.bgp.state import ChannelState, ProtocolState
from edge.errors import CapabilityError, DaemonError

ACTIVE = ProtocolState(
    name="customer_ams_4",
    proto="BGP",
    table="---",
    state="start",
    since=None,
    uptime_s=None,
    info="Active",
    bgp_state="Active",
    neighbor=ip_address("192.168.15.1"),
    interface="xe0.100",
    peer_asn=65010,
    local_asn=12076,
)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        ("Socket: Connection refused", "192.168.15.1 refused the connection"),
        ("Socket: No route to host", "does not answer ARP or neighbour discovery on xe0.100"),
        ("Socket: Connection timed out", "check the shared key and the path"),
        ("Error: BFD session down", "BFD heard nothing from 192.168.15.1"),
        ("Error: Link down", "xe0.100 has no carrier"),
        ("Error: Neighbor lost", "xe0.100 is down or has no address in the subnet"),
        ("BGP Error: Hold timer expired", "192.168.15.1 sent no keepalive"),
        ("Received: Hold timer expired", "192.168.15.1 heard no keepalive"),
        ("BGP Error: Bad peer AS", "192.168.15.1 is not AS 65010, as configured"),
        ("Received: Bad peer AS", "192.168.15.1 does not expect AS 12076 from us"),
        ("Received: Maximum number of prefixes reached", "announced more prefixes than 192.168.15.1 takes"),
        ("Received: Administrative shutdown", "192.168.15.1 has the session shut"),
        ("Received: Peer de-configured", "does not have this session any more"),
        ("Error: Something {new} in 2.30", "Something (new) in 2.30; it is tried again"),
    ],
)
def test_every_error_of_bird_becomes_a_sentence(error: str, words: str) -> None:
    sentence = why_down(replace(ACTIVE, last_error=error))
    assert sentence.startswith("customer_ams_4: ")
    assert words in sentence


def test_a_limit_is_told_with_its_count_and_the_wait() -> None:
    limited = replace(
        ACTIVE,
        last_error="Automatic shutdown: Route limit exceeded",
        error_wait_s=4.6,
        channels=(ChannelState("ipv4", "DOWN", "master4", limit=4000),),
    )
    assert why_down(limited, 9) == (
        "customer_ams_4: 192.168.15.1 sent more than 4000 prefixes, so the session was dropped; "
        "it is tried again in 5 s"
    )


def test_refused_signatures_explain_what_tcp_never_completed() -> None:
    for error in ("", "Received: Other configuration change", "Socket: Connection timed out"):
        assert "shared keys (TCP MD5)" in why_down(replace(ACTIVE, last_error=error), 12)
        assert "shared keys (TCP MD5)" not in why_down(replace(ACTIVE, last_error=error), 0)
    for error in ("BGP Error: Bad peer AS", "Socket: Connection refused"):
        assert "TCP MD5" not in why_down(replace(ACTIVE, last_error=error), 12)


def test_a_session_without_any_error_is_told_by_its_state() -> None:
    assert "has not answered TCP yet" in why_down(ACTIVE)
    assert "has not sent its OPEN yet" in why_down(replace(ACTIVE, bgp_state="OpenSent"))
    assert "does not answer ARP" in why_down(ACTIVE, neighbor_resolved=False)
    assert "has not answered TCP" in why_down(ACTIVE, neighbor_resolved=True)
    assert "administratively down" in why_down(replace(ACTIVE, state="down", bgp_state="Down", info=""), 3)
    up = replace(ACTIVE, state="up", bgp_state="Established")
    assert why_down(up) == "customer_ams_4: established with 192.168.15.1"
    assert "BIRD's log" in why_down(replace(ACTIVE, bgp_state="Close", neighbor=None))


NETSTAT = """\
TcpExt: SyncookiesSent TCPMD5NotFound TCPMD5Unexpected TCPMD5Failure
TcpExt: 0 3 4 5
IpExt: InNoRoutes
IpExt: 0
"""


def test_md5_counters_are_read_by_name() -> None:
    counters = parse_netstat(NETSTAT)
    assert counters == Md5Counters(not_found=3, unexpected=4, failure=5)
    assert counters.total == 12
    assert counters.since(Md5Counters(1, 1, 5)) == Md5Counters(2, 3, 0)
    assert parse_netstat("TcpExt: SyncookiesSent\nTcpExt: 7\n") == Md5Counters()


@pytest.mark.parametrize("text", ["", "TcpExt: a b\n", "TcpExt: a b\nTcpExt: 1\n", "IpExt: a\nIpExt: 1\n"])
def test_a_table_without_tcp_is_an_error(text: str) -> None:
    with pytest.raises(DaemonError, match="no TcpExt table"):
        parse_netstat(text)


def test_a_counter_that_is_no_number_is_an_error() -> None:
    with pytest.raises(DaemonError, match="cannot read"):
        parse_netstat("TcpExt: TCPMD5Failure\nTcpExt: many\n")


def test_files_are_named_after_the_namespace_when_that_is_plain_and_short() -> None:
    run = Path("/run/edgelab/contoso/bird")
    assert control_path(run, "msee1-ams.private") == run / "msee1-ams.private.ctl"
    odd = {control_path(run, name).name for name in ("a b", "../x", ".hidden", "ü", "y" * 200, "z" * 90)}
    assert len(odd) == 6
    assert all(name.startswith("h-") and len(name) == 18 for name in odd)
    assert control_path(run, "a b") == control_path(run, "a b")


def test_no_socket_path_is_longer_than_the_kernel_takes() -> None:
    deep = Path("/" + "d" * 80)
    for name in ("a", "b" * 22, "c" * 23, "d" * 64):
        assert len(str(control_path(deep, name))) <= SOCKET_PATH_MAX
    with pytest.raises(CapabilityError, match="choose a run directory of at most 88 characters"):
        files_of(Path("/" + "d" * 100), "ce1")
    assert len(str(control_path(Path("/" + "d" * 87), "e" * 30))) == SOCKET_PATH_MAX


def test_a_configuration_is_readable_by_its_owner_alone(tmp_path: Path) -> None:
    file = tmp_path / "ce1.conf"
    file.write_text("an older and much longer text")
    file.chmod(0o644)
    write_private(file, "short")
    assert file.read_text() == "short"
    assert file.stat().st_mode & 0o777 == 0o600
