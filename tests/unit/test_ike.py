"""IKE without a charon: strongSwan's configurations, its protocol and its log, in and out."""

from __future__ import annotations

import os
from ipaddress import IPv4Address
from pathlib import Path

import pytest

import lab
from edge.errors import CapabilityError
from edge.ike import config, support, vici, words
from edge.ike.objects import daemon_of
from edge.model import IpsecTunnel, KeyExchange, Vrf
from lab.service.vpn_gateway import AZURE, DEVICE, QUICK_MODE_LIFE_S
from lab.topology import derive, load

GOLDEN = Path(__file__).parents[1] / "golden" / "ike"
SOCKET = Path("/run/edgelab/vpn-ike/ike/hub-vpn.vici")
HERE, THERE = IPv4Address("192.0.2.1"), IPv4Address("192.0.2.2")
KEY = 's3"cret}'


def tunnel(number: int = 1, *, initiates: bool = False) -> IpsecTunnel:
    exchange = KeyExchange(KEY, initiates, DEVICE if initiates else AZURE)
    return IpsecTunnel(f"site{number}.vpn", HERE, THERE, number, 0, 0, "", "", 1400, exchange)


def compare(name: str, text: str) -> None:
    """`text` is that of the golden file, which EDGELAB_UPDATE_GOLDEN=1 writes anew."""
    path = GOLDEN / name
    if os.environ.get("EDGELAB_UPDATE_GOLDEN"):
        path.write_text(text)
    assert text == path.read_text()


def test_a_charon_is_told_where_its_socket_is_and_how_long_a_peer_may_be_silent() -> None:
    compare("strongswan.conf", config.settings(SOCKET, [AZURE_EXCHANGE]))


AZURE_EXCHANGE = KeyExchange(KEY, initiates=False, offers=AZURE)


def test_a_gateways_connections_have_azures_proposals_and_lifetimes() -> None:
    compare("azure.swanctl.conf", config.connections([tunnel(1), tunnel(2)]))


def test_a_sites_connection_asks_at_once() -> None:
    compare("site.swanctl.conf", config.connections([tunnel(initiates=True)]))


def test_no_sign_of_a_key_can_end_its_line() -> None:
    text = config.connections([tunnel()])
    assert KEY not in text
    assert f"secret = 0x{KEY.encode().hex()}\n" in text


def test_requests_are_repeated_for_half_of_the_time_that_makes_a_peer_dead() -> None:
    lines = dict(
        line.strip().split(" = ")
        for line in config.settings(SOCKET, [AZURE_EXCHANGE]).splitlines()
        if " = " in line
    )
    first, base, tries = (float(lines[f"retransmit_{name}"]) for name in ("timeout", "base", "tries"))
    waited = sum(first * base**n for n in range(int(tries) + 1))
    assert waited == pytest.approx(AZURE.dead_peer_s / 2, rel=0.01)


def test_a_key_is_in_no_words_about_a_tunnel_or_its_daemon() -> None:
    vrf = Vrf("a", "a", HERE, tunnels=(tunnel(),))
    daemon = daemon_of(vrf)
    assert KEY not in f"{tunnel()!r} {daemon} {daemon!r}"


def test_who_has_only_tunnels_with_keys_of_the_file_needs_no_daemon() -> None:
    manual = IpsecTunnel("vpn", HERE, THERE, 1, 300, 301, "11" * 20, "22" * 20, 1400)
    assert daemon_of(Vrf("a", "a", HERE, tunnels=(manual,))) is None


MESSAGE: vici.Message = {
    "conn": {"version": "2", "children": {"c": {"state": "INSTALLED"}}},
    "names": ["one", "two"],
    "empty": [],
    "last": "",
}


def test_a_message_is_read_back_as_it_was_written() -> None:
    assert vici.decode(vici.encode(MESSAGE)) == MESSAGE


def test_a_message_has_the_octets_of_the_protocol() -> None:
    """From strongSwan's description of the protocol: element type, length of the name, length of a value."""
    assert vici.encode({"a": {"b": "cd"}}) == b"\x01\x01a\x03\x01b\x00\x02cd\x02"
    assert vici.encode({"l": ["x"]}) == b"\x04\x01l\x05\x00\x01x\x06"


@pytest.mark.parametrize("data", [b"\x03\x01b\x00\x09cd", b"\x09", b"\x02", b"\x05\x00\x01x", b"\x01\x05a"])
def test_octets_that_are_no_message_are_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="message"):
        vici.decode(data)


@pytest.mark.parametrize(
    ("state", "there"), [("INSTALLED", True), ("REKEYING", True), ("CREATED", False), ("DELETING", False)]
)
def test_only_installed_children_have_keys(state: str, there: bool) -> None:
    assert vici.has_keys({"child-sas": {"c-1": {"state": state}}}) is there
    assert not vici.has_keys({"state": "CONNECTING"})


@pytest.mark.parametrize(
    ("line", "what", "told"),
    [
        (
            "06[IKE] <hq_vpn|1> CHILD_SA hq_vpn{2} established with SPIs c1_i c2_o and TS 0.0.0.0/0 === 0/0",
            "established",
            "keys agreed on",
        ),
        ("06[IKE] <hq_vpn|1> received AUTHENTICATION_FAILED notify error", "error", "it refuses ours"),
        (
            "07[IKE] <hq_vpn|3> tried 2 shared keys for '192.0.2.1' - '192.0.2.2', but MAC mismatched",
            "error",
            "shared keys of the two ends differ",
        ),
        ("09[IKE] <hq_vpn|3> received NO_PROPOSAL_CHOSEN notify error", "error", "proposals"),
        ("09[IKE] <hq_vpn|3> giving up after 4 retransmits", "error", "does not answer"),
        ("00[IKE] <hq_vpn|1> received DELETE for IKE_SA hq_vpn[1]", "closed", "over"),
        ("06[IKE] <hq_vpn|1> retransmit 1 of request with message ID 1", "other", "retransmit"),
        (
            "08[IKE] <1> no IKE config found for 192.0.2.1...192.0.2.2, sending NO_PROPOSAL_CHOSEN",
            "other",
            "",
        ),
        ("terminate called", "other", "terminate called"),
    ],
)
def test_a_line_of_the_log_tells_of_a_tunnel(line: str, what: str, told: str) -> None:
    event = words.event_of(line)
    assert (event.what, event.protocol) == (what, "hq_vpn" if "hq_vpn|" in line else "")
    assert told in event.text


def test_a_tunnel_without_keys_has_a_reason_and_a_way_out() -> None:
    refused = words.event_of("06[IKE] <x|1> received AUTHENTICATION_FAILED notify error").text
    assert "write the same shared key at both ends" in words.why_no_keys("192.0.2.2", refused)
    assert "UDP port 500" in words.why_no_keys("192.0.2.2", "")


def test_an_enforced_profile_of_apparmor_is_gone_around_by_the_loader() -> None:
    program = "/usr/sbin/charon-systemd"
    assert support.confined(program, f"bird (enforce)\n{program} (enforce)\n")
    assert not support.confined(program, f"{program} (complain)\n{program}//x (enforce)\n")
    loader = support.interpreter(Path("/bin/sh").resolve().read_bytes())
    assert Path(loader).exists()
    with pytest.raises(CapabilityError, match="ELF"):
        support.interpreter(b"#!/bin/sh\n")


def test_without_strongswan_the_apt_line_names_both_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(support, "found_program", lambda _: None)
    with pytest.raises(CapabilityError) as caught:
        support.require_strongswan()
    assert "apt-get install --no-install-recommends charon-systemd strongswan-swanctl" in str(caught.value)
    assert caught.value.exit_code == 3


def tunnels_of(name: str, **vpn: object) -> dict[str, list[IpsecTunnel]]:
    document = load(Path(lab.__file__).parent / "topologies" / name).document
    document["vnets"]["hub"]["vpn"][0].update(vpn)
    model = derive(document)
    found = {vrf.namespace: list(vrf.tunnels) for router in model.routers for vrf in router.vrfs}
    return {space: tunnels for space, tunnels in found.items() if tunnels}


def test_an_active_active_gateway_has_two_ends_and_the_site_one_for_each() -> None:
    found = tunnels_of("vpn-ike.edge.yml")
    assert sorted(found) == ["hq-inet", "hub-vpn", "hub-vpn2"]
    assert [one.name for one in found["hq-inet"]] == ["hub.vpn", "hub.vpn2"]
    assert [one.number for one in found["hq-inet"]] == [1, 2]
    ends = {(one.local, one.remote) for space in ("hub-vpn", "hub-vpn2") for one in found[space]}
    assert {(one.remote, one.local) for one in found["hq-inet"]} == ends
    assert len(ends) == 2


def test_the_site_asks_azure_answers_and_only_the_site_may_have_another_key() -> None:
    found = tunnels_of("vpn-ike.edge.yml", ike={"shared_key": "right", "site_shared_key": "wr0ng"})
    site, azure = (found[space][0].exchange for space in ("hq-inet", "hub-vpn"))
    assert site is not None
    assert azure is not None
    assert (site.initiates, azure.initiates) == (True, False)
    assert (site.shared_key, azure.shared_key) == ("wr0ng", "right")
    assert azure.offers.life_s == QUICK_MODE_LIFE_S == 27_000
    assert set(site.offers.ike) <= set(azure.offers.ike)
    assert set(site.offers.esp) <= set(azure.offers.esp)


def test_both_instances_have_keys_of_their_own_when_the_file_gives_them() -> None:
    found = tunnels_of("vpn-ike.edge.yml", ike=None, key="s3cretOfTheTunnel")
    keys = [key for one in found["hq-inet"] for key in (one.key_in, one.key_out)]
    assert len(set(keys)) == 4
