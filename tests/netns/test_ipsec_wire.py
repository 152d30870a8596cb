"""IPsec tunnels between two namespaces: what is on the wire, what is not, and what is found afterwards."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from ipaddress import IPv4Address, ip_interface

import pytest
from conftest import Sandbox
from net_helpers import create_all, delete_all, reconcile

from edge.errors import CapabilityError
from edge.net.ipsec import REMEDY, probe
from edge.net.kernel import Kernel
from edge.net.objects.base import Endpoint, KernelObject
from edge.net.objects.changes import Change
from edge.net.objects.devices import AdminUp, IpsecTunnel, Namespace, Veth
from edge.net.objects.routing import DeviceAddress

pytestmark = [pytest.mark.root]
stock = pytest.mark.kernels("stock")

A, B = Endpoint("a", "wan"), Endpoint("b", "wan")
OUTER = (IPv4Address("192.0.2.1"), IPv4Address("192.0.2.2"))
KEYS = ("11" * 20, "22" * 20)
SECRET = b"nobody shall read this on the wire"
ESP = 50
ETH_P_ALL = 3

NEAR = IpsecTunnel(Endpoint("a", "vpn"), *OUTER, 1, 0x1001, 0x1002, *KEYS, 1400)
FAR = IpsecTunnel(Endpoint("b", "vpn"), *OUTER[::-1], 1, 0x1002, 0x1001, *KEYS[::-1], 1400)


def world(far: IpsecTunnel = FAR) -> list[KernelObject]:
    inner = {NEAR: "10.9.0.1/30", far: "10.9.0.2/30"}
    return [
        Namespace("a"),
        Namespace("b"),
        Veth(A, B, 1500, "02:00:00:00:00:01", "02:00:00:00:00:02"),
        AdminUp(A),
        AdminUp(B),
        DeviceAddress(A, ip_interface(f"{OUTER[0]}/30")),
        DeviceAddress(B, ip_interface(f"{OUTER[1]}/30")),
        *inner,
        *(AdminUp(one.at) for one in inner),
        *(DeviceAddress(one.at, ip_interface(text)) for one, text in inner.items()),
    ]


def ask(kernel: Kernel, target: str, seconds: float = 10.0) -> bytes:
    """Send SECRET from a to `target` in b until it is there; what arrived, empty after so long."""
    with kernel.socket("b", socket.AF_INET, socket.SOCK_DGRAM) as there:
        there.bind(("", 5000))
        there.settimeout(0.1)
        with kernel.socket("a", socket.AF_INET, socket.SOCK_DGRAM) as here:
            end = time.monotonic() + seconds
            while time.monotonic() < end:
                here.sendto(SECRET, (target, 5000))
                try:
                    return there.recv(2000)
                except TimeoutError:
                    continue
    return b""


@pytest.fixture
def wire(kernel: Kernel) -> Iterator[socket.socket]:
    """Frames at b's end of the wire, once the world is there."""
    create_all(kernel, world())
    with kernel.socket("b", socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL)) as opened:
        opened.bind((B.device, ETH_P_ALL))
        opened.setblocking(False)
        yield opened


def frames(wire: socket.socket) -> list[bytes]:
    found = []
    while True:
        try:
            found.append(wire.recv(2000))
        except BlockingIOError:
            return found


@stock
def test_what_goes_through_a_tunnel_is_esp_on_the_wire_and_no_clear_text(
    kernel: Kernel, wire: socket.socket
) -> None:
    assert ask(kernel, "10.9.0.2") == SECRET
    seen = frames(wire)
    sent = [one for one in seen if one[12:14] == b"\x08\x00"]
    assert sent
    assert {one[23] for one in sent} == {ESP}
    assert {int.from_bytes(one[34:38], "big") for one in sent if one[26:30] == OUTER[0].packed} == {0x1001}
    assert not any(SECRET in one for one in seen)


@stock
def test_with_another_key_nothing_arrives_and_nothing_leaves_in_clear(
    kernel: Kernel, wire: socket.socket
) -> None:
    other = replace(FAR, key_in="33" * 20)
    assert kernel.apply([Change(FAR, other)]) == [None]
    assert not any(reconcile(kernel, world(other)))
    assert ask(kernel, "10.9.0.2", 1.0) == b""
    assert not any(SECRET in one for one in frames(wire))
    assert not any(reconcile(kernel, world()))
    assert not any(reconcile(kernel, world()))
    assert ask(kernel, "10.9.0.2") == SECRET


@stock
@pytest.mark.parametrize(
    "words",
    [
        ("link", "set", "vpn", "mtu", "1300"),
        ("xfrm", "state", "flush"),
        ("xfrm", "policy", "flush"),
        ("link", "delete", "vpn"),
    ],
)
def test_a_tunnel_that_somebody_changed_is_found_so_and_made_anew(
    kernel: Kernel, wire: socket.socket, sandbox: Sandbox, words: tuple[str, ...]
) -> None:
    everything = world()
    assert kernel.found(everything) == set(everything)
    subprocess.run(("ip", "-n", "a", *words), check=True, timeout=20)
    assert NEAR not in kernel.found(everything)
    # Its addresses went with the device, which the second round finds.
    assert not any(reconcile(kernel, everything))
    assert not any(reconcile(kernel, everything))
    assert kernel.found(everything) == set(everything)
    assert ask(kernel, "10.9.0.2") == SECRET


@stock
def test_a_tunnel_that_is_taken_away_leaves_nothing(kernel: Kernel, sandbox: Sandbox) -> None:
    everything = world()
    create_all(kernel, everything)
    delete_all(kernel, [NEAR])
    for listing in (("xfrm", "state"), ("xfrm", "policy")):
        done = subprocess.run(("ip", "-n", "a", *listing), capture_output=True, check=True, timeout=20)
        assert done.stdout == b""
    assert kernel.apply([Change(NEAR, None)]) == [None]
    delete_all(kernel, [item for item in everything if item != NEAR])


@pytest.mark.kernels("here", "stock")
def test_a_kernel_without_esp_refuses_a_tunnel_and_says_what_is_missing(kernel: Kernel) -> None:
    capability = probe()
    create_all(kernel, [Namespace("a")])
    (error,) = kernel.apply([Change(None, NEAR)])
    if capability.ok:
        assert error is None
        return
    assert isinstance(error, CapabilityError)
    assert "not in this kernel: " in str(error)
    assert REMEDY in str(error)
    assert kernel.found([NEAR]) == {Namespace("a")}
