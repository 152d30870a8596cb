"""IPsec tunnels as input of `ip`, and what is read of its listings."""

from __future__ import annotations

import json
from ipaddress import IPv4Address

import pytest

from edge.net import ipsec
from edge.net.objects.base import Endpoint
from edge.net.objects.devices import IpsecTunnel

TUNNEL = IpsecTunnel(
    Endpoint("hub-vpn", "vpn1"),
    IPv4Address("192.0.2.1"),
    IPv4Address("192.0.2.2"),
    7,
    0x1001,
    0x1002,
    "11" * 20,
    "22" * 20,
    1400,
)


def test_a_tunnel_is_a_device_two_associations_and_a_policy_of_each_direction() -> None:
    lines = ipsec.making(TUNNEL, 52).splitlines()
    assert lines[0] == (
        "link add name vpn1 index 52 mtu 1400 type vti local 192.0.2.1 remote 192.0.2.2 key 7"
    )
    assert lines[1] == (
        "xfrm state add src 192.0.2.1 dst 192.0.2.2 proto esp spi 0x1001 reqid 7 mode tunnel"
        f" replay-window 32 aead rfc4106(gcm(aes)) 0x{'11' * 20} 128"
    )
    assert "src 192.0.2.2 dst 192.0.2.1 proto esp spi 0x1002" in lines[2]
    assert lines[2].endswith(f"0x{'22' * 20} 128")
    assert [line.split()[8] for line in lines[3:]] == ["out", "in"]
    assert all("mark 7" in line for line in lines[3:])


def test_what_is_made_is_taken_away_by_what_names_it() -> None:
    lines = ipsec.unmaking(TUNNEL).splitlines()
    assert lines[0] == "link delete vpn1"
    assert [line.split()[-1] for line in lines[1:4]] == ["7", "7", "7"]
    assert lines[4:] == ["xfrm state deleteall reqid 7"]


def test_keys_are_in_no_words_about_a_tunnel() -> None:
    assert "11" * 20 not in f"{TUNNEL} {TUNNEL!r}"
    assert "22" * 20 not in f"{TUNNEL} {TUNNEL!r}"


def listing(mtu: int, flags: list[str]) -> str:
    return json.dumps(
        [{"mtu": mtu, "flags": flags, "linkinfo": {"info_kind": "vti", "info_data": {"okey": "0.0.0.7"}}}]
    )


def test_the_image_of_a_tunnel_leaves_out_what_moves_by_itself() -> None:
    def states(sequence: int) -> str:
        return f"src 192.0.2.1\n\tspi 0x1001\n\tanti-replay context: seq {sequence}, oseq 0x0\n"

    one = ipsec.image(listing(1400, []), states(1), "dir out")
    assert one == ipsec.image(listing(1400, ["UP"]), states(2), "dir out")
    assert one != ipsec.image(listing(1300, []), states(1), "dir out")
    assert one != ipsec.image(listing(1400, []), "", "dir out")
    assert one != ipsec.image(listing(1400, []), states(1), "")


@pytest.mark.parametrize(
    ("words", "missing"),
    [
        ("Error: Unknown device type.", "VTI devices (ip_vti)"),
        ("Error: Requested AEAD algorithm not found.", "ESP (esp4)"),
        (
            "Error: Unknown device type.\nError: Requested AEAD algorithm not found.",
            "ESP (esp4) and VTI devices (ip_vti)",
        ),
        ("RTNETLINK answers: File exists", ""),
    ],
)
def test_what_the_kernel_lacks_is_told_from_the_complaints_of_ip(words: str, missing: str) -> None:
    assert ipsec.lacking(words) == missing


def test_of_all_policies_those_with_the_tunnels_mark_are_its_own() -> None:
    def policy(mark: int) -> str:
        return f"src 0.0.0.0/0 dst 0.0.0.0/0 \n\tdir in priority 0 \n\tmark {mark:#x}/0xffffffff \n\ttmpl x\n"

    assert ipsec.marked(policy(7) + policy(0x77) + policy(7), 7) == policy(7) * 2
    assert ipsec.marked("", 7) == ""
