"""MPLS: what is sent to the kernel and read from it, and what a core is made of."""

from __future__ import annotations

from ipaddress import IPv4Address, ip_address, ip_network

import pytest

from edge.errors import CapabilityError
from edge.net import messages as nl
from edge.net import mpls
from edge.net.capabilities import Capability
from edge.net.mpls_support import choose_core
from lab.cores import settle
from tests.unit.test_net_messages import reference, rtmsg, same

VIA = IPv4Address("100.64.0.1")
YES = Capability("MPLS", True, "the kernel routes MPLS")
NO = Capability("MPLS", False, "the kernel does not route MPLS", "sudo modprobe -a mpls_router")


def test_labels_stand_in_20_bits_with_a_mark_on_the_last() -> None:
    # RFC 3032 2.1: label, three bits of class, the bottom of the stack, time to live.
    assert mpls.label_stack((17, 1048575)).hex() == "00011000" + "fffff100"
    assert mpls.parse_labels(mpls.label_stack((16, 65535, 99))) == (16, 65535, 99)


@pytest.mark.parametrize("out", [(), (300,), (300, 400)])
def test_a_route_of_labels_is_encoded_as_pyroute2_does_and_read_back(out: tuple[int, ...]) -> None:
    request = mpls.add_route(100, out, VIA, 12, replace=True)
    fields = {"family": mpls.AF_MPLS, "dst_len": 20, "table": 254, "proto": 4, "type": 1}
    last = len(out) - 1
    attributes = [
        ("RTA_DST", [{"label": 100, "bos": 1}]),
        ("RTA_OIF", 12),
        ("RTA_VIA", {"family": 2, "addr": str(VIA)}),
    ]
    if out:
        stack = [{"label": label, "bos": int(n == last)} for n, label in enumerate(out)]
        attributes.append(("RTA_NEWDST", stack))
    assert request.flags == nl.NLM_F_CREATE | nl.NLM_F_REPLACE
    same(request, reference(rtmsg, request, fields, attributes), 12, {})
    (message,) = nl.messages(request.encode(1))
    assert mpls.parse_route(message.payload) == mpls.FoundLabel(100, out, VIA, 12)


def test_a_route_of_another_kind_is_passed_over() -> None:
    (address,) = nl.messages(nl.add_route(ip_network("10.0.0.0/8"), (ip_address("10.9.0.1"),)).encode(1))
    assert mpls.parse_route(address.payload) is None
    (deleted,) = nl.messages(mpls.delete_route(100).encode(1))
    assert mpls.parse_route(deleted.payload) is None


def test_auto_takes_labels_where_the_kernel_has_them_and_says_why_not() -> None:
    assert choose_core(YES).name == "mpls"
    chosen = choose_core(NO)
    assert (chosen.name, chosen.reason) == ("vrf", "not mpls: the kernel does not route MPLS")
    assert choose_core(YES, "vrf").name == "vrf"


def test_labels_that_are_asked_for_and_not_there_are_refused_with_the_way_out() -> None:
    with pytest.raises(CapabilityError, match="does not route MPLS") as refused:
        choose_core(NO, "mpls")
    assert refused.value.exit_code == 3
    assert "modprobe -a mpls_router; or write core: vrf" in str(refused.value)


def test_a_document_without_a_core_is_not_asked_about() -> None:
    def never() -> Capability:
        raise AssertionError("the machine was asked")

    plain = {"circuits": {"ams": {"model": "cloud-exchange"}}, "core": "auto"}
    assert settle(plain, never) == (plain, None)
    written = {"circuits": {"ams": {"model": "any-to-any"}}, "core": "vrf"}
    document, choice = settle(written, never)
    assert (document, choice.name if choice else "") == (written, "vrf")


@pytest.mark.parametrize(("found", "name"), [(YES, "mpls"), (NO, "vrf")])
def test_a_document_that_leaves_it_to_the_machine_says_one_afterwards(found: Capability, name: str) -> None:
    document, choice = settle({"circuits": {"ams": {"model": "any-to-any"}}, "core": "auto"}, lambda: found)
    assert document["core"] == name
    assert choice is not None
    assert choice.name == name
