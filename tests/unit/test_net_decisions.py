"""The pure decisions of edge.net: realisation, carrier mirror, order of devices, nft's words."""

from __future__ import annotations

import json
from dataclasses import replace
from ipaddress import ip_address, ip_network

import pytest

from edge.errors import CapabilityError, KernelError
from edge.net import devices, nft, steps, xtables
from edge.net.capabilities import Capabilities, Capability, choose_realisation
from edge.net.found import as_wanted
from edge.net.monitor import CarrierMirror, LinkEvent, decide
from edge.net.objects.base import Endpoint, KernelObject
from edge.net.objects.changes import Change
from edge.net.objects.devices import AdminUp, Macvlan, Sysctl, Veth, VlanDevice
from edge.net.objects.frames import SubinterfaceTags
from edge.net.objects.routing import KernelRoute, Ruleset

YES = Capability("x", True, "it is there")
NO_VLAN = Capability("vlan", False, "the kernel has no 802.1Q devices", "sudo modprobe 8021q")
NO_BPF = Capability("bpf", False, "BPF is refused", "run as root")
NO_RING = Capability("ring", False, "packet sockets are refused", "allow user namespaces")
ABLE = Capabilities(True, *(YES,) * 12)


def test_auto_takes_the_kernels_own_vlan_devices_first() -> None:
    assert choose_realisation(ABLE).name == "kernel"


def test_auto_takes_bpf_where_there_are_no_vlan_devices_and_says_why() -> None:
    chosen = choose_realisation(replace(ABLE, vlan=NO_VLAN))
    assert chosen.name == "bpf"
    assert "the kernel has no 802.1Q devices" in chosen.reason


def test_what_was_asked_for_is_taken_when_it_can_be() -> None:
    assert choose_realisation(ABLE, "bpf").name == "bpf"
    assert choose_realisation(ABLE, "bpf").reason == "asked for"


def test_nothing_fitting_names_every_reason_and_every_way_out() -> None:
    with pytest.raises(CapabilityError) as caught:
        choose_realisation(replace(ABLE, vlan=NO_VLAN, vlan_ad=NO_VLAN, tag_plane=NO_BPF, ring=NO_RING))
    assert str(caught.value).splitlines() == [
        "no realisation of links and tags fits this machine "
        "(kernel: the kernel has no 802.1Q devices; bpf: BPF is refused; ring: packet sockets are refused)",
        "  way out: kernel: sudo modprobe 8021q; or bpf: run as root; or ring: allow user namespaces",
    ]


def test_a_realisation_asked_for_in_vain_is_not_replaced_by_another() -> None:
    with pytest.raises(CapabilityError, match=r"kernel: the kernel has no 802\.1Q devices"):
        choose_realisation(replace(ABLE, vlan=NO_VLAN), "kernel")


def test_ring_is_the_last_resort_and_says_why_the_others_were_not_taken() -> None:
    chosen = choose_realisation(replace(ABLE, vlan=NO_VLAN, vlan_ad=NO_VLAN, tag_plane=NO_BPF))
    assert chosen.name == "ring"
    reasons = ("it is there", "not kernel: the kernel has no 802.1Q devices", "not bpf: BPF is refused")
    assert chosen.reason == "; ".join(reasons)
    assert choose_realisation(ABLE, "ring").reason == "asked for"
    with pytest.raises(CapabilityError, match="ring: packet sockets are refused"):
        choose_realisation(replace(ABLE, ring=NO_RING), "ring")


PORT, INNER = Endpoint("msee", "ams"), Endpoint("msee", "ams.100")
RULE = SubinterfaceTags(Endpoint("vrf", "ams.100"), PORT, (), INNER)


def event(at: Endpoint, *, up: bool = True, carrier: bool = True, present: bool = True) -> LinkEvent:
    return LinkEvent(at.namespace, at.device, 5, up, carrier, present)


@pytest.mark.parametrize(
    ("before", "carrier", "moves"),
    [
        (None, True, [(INNER, True)]),
        (None, False, [(INNER, False)]),
        (True, True, []),
        (True, False, [(INNER, False)]),
        (False, True, [(INNER, True)]),
        (False, False, []),
    ],
)
def test_an_inner_end_moves_when_the_carrier_does(
    before: bool | None, carrier: bool, moves: list[tuple[Endpoint, bool]]
) -> None:
    assert decide([INNER], before, event(PORT, carrier=carrier)) == moves


def test_an_inner_end_taken_down_by_an_operator_stays_down_while_the_trunk_is_well() -> None:
    done: list[tuple[Endpoint, bool]] = []
    mirror = CarrierMirror(lambda at, up: done.append((at, up)))
    mirror.follow([RULE])
    mirror.handle([event(PORT)])
    done.clear()
    mirror.handle([event(INNER, up=False), event(PORT)])
    assert done == []


def test_a_flapping_trunk_ends_in_its_last_state() -> None:
    done: list[tuple[Endpoint, bool]] = []
    mirror = CarrierMirror(lambda at, up: done.append((at, up)))
    mirror.follow([RULE])
    mirror.handle([event(PORT), event(PORT, carrier=False), event(PORT), event(PORT, carrier=False)])
    assert done == [(INNER, False)]


def test_an_inner_end_that_has_gone_does_not_stop_the_others() -> None:
    def set_up(at: Endpoint, up: bool) -> None:
        if at == INNER:
            raise KernelError(str(at), 19, "gone")

    other = Endpoint("msee", "ams.200")
    mirror = CarrierMirror(set_up)
    mirror.follow([RULE, SubinterfaceTags(Endpoint("vrf", "ams.200"), PORT, (), other)])
    assert mirror.handle([event(PORT, carrier=False)]) == [(other, False)]


CUSTOMER, MICROSOFT = Endpoint("fabric", "ams1"), Endpoint("fabric", "msee1")
LINE = (AdminUp(CUSTOMER, "msee1"), AdminUp(MICROSOFT, "ams1"))
"""Two ports that follow each other: link-loss forwarding both ways."""


def line() -> tuple[CarrierMirror, list[tuple[Endpoint, bool]]]:
    """A mirror of a line that is well, and what it does from now on."""
    done: list[tuple[Endpoint, bool]] = []
    mirror = CarrierMirror(lambda at, up: done.append((at, up)))
    mirror.follow(LINE)
    mirror.handle([event(CUSTOMER), event(MICROSOFT)])
    done.clear()
    return mirror, done


@pytest.mark.parametrize(("cut", "other"), [(CUSTOMER, MICROSOFT), (MICROSOFT, CUSTOMER)])
def test_a_line_is_cut_and_mended_from_either_end_and_does_not_lock_itself(
    cut: Endpoint, other: Endpoint
) -> None:
    mirror, done = line()
    mirror.handle([event(cut, carrier=False)])
    mirror.handle([event(other, up=False, carrier=False)])
    assert done == [(other, False)]
    mirror.handle([event(cut)])
    mirror.handle([event(other)])
    assert done == [(other, False), (other, True)]
    mirror.handle([event(other, carrier=False)])
    assert done[2:] == [(cut, False)]


def test_what_a_line_did_to_itself_and_is_told_late_is_not_a_new_cut() -> None:
    mirror, done = line()
    mirror.handle([event(CUSTOMER, carrier=False)])
    mirror.handle([event(CUSTOMER)])
    mirror.handle([event(MICROSOFT, up=False, carrier=False)])
    mirror.handle([event(MICROSOFT)])
    assert done == [(MICROSOFT, False), (MICROSOFT, True)]


def test_a_line_cut_at_both_ends_is_well_when_both_are_mended() -> None:
    mirror, done = line()
    mirror.handle([event(CUSTOMER, carrier=False)])
    mirror.handle([event(MICROSOFT, up=False, carrier=False), event(CUSTOMER)])
    # Microsoft's port is up again, and finds that its own wire is cut.
    mirror.handle([event(MICROSOFT, carrier=False)])
    mirror.handle([event(CUSTOMER, up=False, carrier=False)])
    mirror.handle([event(MICROSOFT)])
    assert done == [(MICROSOFT, False), (MICROSOFT, True), (CUSTOMER, False), (CUSTOMER, True)]


def test_a_line_cut_at_both_ends_at_once_keeps_one_end_up_to_see_its_wire_come_back() -> None:
    mirror, done = line()
    mirror.handle([event(CUSTOMER, carrier=False), event(MICROSOFT, carrier=False)])
    assert done == [(MICROSOFT, False)]
    mirror.handle([event(MICROSOFT, up=False, carrier=False)])
    mirror.handle([event(CUSTOMER)])
    assert done == [(MICROSOFT, False), (MICROSOFT, True)]


def vlan(name: str, lower: str) -> VlanDevice:
    return VlanDevice(Endpoint("r", name), Endpoint("r", lower), 5, 0x8100, 1500, "02:00:00:00:00:01")


def test_devices_are_made_after_those_below_them_whatever_the_order() -> None:
    changes = [
        Change(None, item) for item in (vlan("c", "b"), vlan("b", "a"), vlan("a", "eth0"), vlan("z", "b"))
    ]
    assert devices._waves(changes, range(4)) == [[2], [1], [0, 3]]


def test_a_ring_of_devices_ends_all_the_same() -> None:
    changes = [Change(None, vlan("a", "b")), Change(None, vlan("b", "a"))]
    assert sorted(position for wave in devices._waves(changes, range(2)) for position in wave) == [0, 1]


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (vlan("a", "x"), vlan("a", "y"), True),
        (vlan("a", "x"), replace(vlan("a", "x"), vid=6), True),
        (vlan("a", "x"), replace(vlan("a", "x"), tpid=0x88A8), True),
        (vlan("a", "x"), replace(vlan("a", "x"), mtu=1400, mac="02:00:00:00:00:02"), False),
        (
            Macvlan(Endpoint("r", "m"), "x", 1500, "02:00:00:00:00:01"),
            Macvlan(Endpoint("r", "m"), "y", 1500, "02:00:00:00:00:01"),
            True,
        ),
        (None, vlan("a", "x"), False),
    ],
)
def test_only_what_the_kernel_cannot_change_is_remade(
    before: KernelObject | None, after: KernelObject, expected: bool
) -> None:
    assert steps.must_be_remade(Change(before, after)) is expected


VIA = (ip_address("10.0.0.2"), ip_address("10.0.0.3"))
WIRE = Veth(Endpoint("a", "x"), Endpoint("b", "x"), 1500, "02:00:00:00:00:AA", "02:00:00:00:00:bb")


@pytest.mark.parametrize(
    ("found", "wanted", "same"),
    [
        (replace(WIRE, mac_a="02:00:00:00:00:aa"), WIRE, True),
        (replace(WIRE, mtu=1400), WIRE, False),
        (
            KernelRoute("a", ip_network("10.0.0.0/8"), VIA),
            KernelRoute("a", ip_network("10.0.0.0/8"), VIA[::-1]),
            True,
        ),
        (
            KernelRoute("a", ip_network("10.0.0.0/8"), VIA),
            KernelRoute("a", ip_network("10.0.0.0/8"), VIA[:1]),
            False,
        ),
        (Sysctl("a", "net/x", "1\t2"), Sysctl("a", "net/x", "1 2"), True),
        (Sysctl("a", "net/x", "12"), Sysctl("a", "net/x", "1 2"), False),
        (AdminUp(PORT), None, False),
    ],
)
def test_the_wanted_form_is_given_when_it_means_the_same(
    found: KernelObject, wanted: KernelObject | None, same: bool
) -> None:
    assert as_wanted(found, wanted) is (wanted if same else found)


RULES = Ruleset("a", "inet", "edge", "\tchain x {\n\t\tip saddr bogus drop\n\t}\n")


def test_nft_is_given_one_transaction_that_replaces_the_table() -> None:
    assert nft.document(RULES).splitlines()[:4] == [
        "table inet edge",
        "delete table inet edge",
        "table inet edge {",
        "\tchain x {",
    ]


def test_nfts_complaint_is_told_by_the_lines_of_the_operators_text() -> None:
    stderr = "/dev/stdin:5:12-16: Error: Could not resolve hostname\n\t\tip saddr bogus drop\n\t\t ^^^^^\n"
    words = nft.explain(RULES, stderr)
    assert words == "line 2, column 12: Could not resolve hostname in 'ip saddr bogus drop'"
    assert nft.explain(RULES, "netlink: Error: cache initialization failed") == (
        "netlink: Error: cache initialization failed"
    )
    assert nft.explain(RULES, "") == "nft gave no reason"


def test_the_image_of_a_ruleset_leaves_out_what_moves_by_itself() -> None:
    def listing(handle: int, packets: int, verdict: str) -> str:
        rule = {"handle": handle, "expr": [{"counter": {"packets": packets, "bytes": 9}}, {verdict: None}]}
        return json.dumps({"nftables": [{"metainfo": {"version": "1"}}, {"rule": rule}]})

    assert nft.image(listing(1, 1, "drop")) == nft.image(listing(2, 7, "drop"))
    assert nft.image(listing(1, 1, "drop")) != nft.image(listing(1, 1, "accept"))


LISTING = """# Generated by iptables-save v1.8.9 on Sun Nov 22 17:38:43 2026
*nat
:POSTROUTING ACCEPT [%d:0]
COMMIT
*filter
:INPUT ACCEPT [5:400]
:refuse_sources - [0:0]
-A INPUT -j refuse_sources
COMMIT
"""
COUNTED = """[3:252] -A refuse_sources -i lo -m comment --comment refused_sources -j DROP
[4:1] -A refuse_sources -i lo -j RETURN
[1:60] -A refuse_sources -i eth0 -m comment --comment "refused_sources" -j DROP
"""


def test_the_image_of_iptables_rules_leaves_out_what_moves_by_itself() -> None:
    assert xtables.image(LISTING % 1) == xtables.image(LISTING % 7)
    assert xtables.image(LISTING % 1) == "*filter\n:refuse_sources -\n-A INPUT -j refuse_sources"
    assert xtables.image("*nat\n:INPUT ACCEPT [1:2]\nCOMMIT\n") == ""


def test_counters_of_one_name_are_added_up() -> None:
    assert xtables.counted(COUNTED) == {"refused_sources": (4, 312)}
