"""What others did to the kernel behind our back shows, and is put right by one more round."""

from __future__ import annotations

import socket
from collections.abc import Callable

import pytest
from net_helpers import create_all, reconcile
from test_net_objects import A0, GUARD, SPACES, UP, WIRE, lab_of_every_type

from edge.net.kernel import Kernel
from edge.net.objects.base import Endpoint, KernelObject
from edge.net.objects.changes import Change
from edge.net.objects.devices import AdminUp, Namespace, Veth
from edge.net.objects.frames import SubinterfaceTags
from edge.net.objects.routing import Ruleset

VANDALISM: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("an address is removed", ("-n", "a", "addr", "del", "10.0.0.1/29", "dev", "eth0")),
    ("an address is added", ("-n", "a", "addr", "add", "10.7.0.1/24", "dev", "eth0")),
    ("a link is set down", ("-n", "b", "link", "set", "lan", "down")),
    ("a route is deleted", ("-n", "a", "route", "del", "10.9.0.0/16")),
    (
        "a route has another next hop",
        ("-n", "a", "route", "replace", "default", "via", "10.0.0.5", "proto", "4"),
    ),
    ("a static route is added", ("-n", "a", "route", "add", "10.8.0.0/16", "via", "10.0.0.2", "proto", "4")),
    ("the MTU is changed", ("-n", "b", "link", "set", "lan", "mtu", "1400")),
    ("a port leaves its bridge", ("-n", "sw", "link", "set", "p1", "nomaster")),
    ("a MAC address is changed", ("-n", "a", "link", "set", "eth0.100", "address", "02:00:00:00:09:09")),
    ("a wire is added", ("-n", "a", "link", "add", "x", "type", "veth", "peer", "name", "y", "netns", "b")),
    ("a namespace is added", ("netns", "add", "guest")),
)


@pytest.mark.parametrize(("command"), [item[1] for item in VANDALISM], ids=[item[0] for item in VANDALISM])
def test_drift_is_seen_and_put_right(kernel: Kernel, sandbox, command: tuple[str, ...]) -> None:
    wanted = lab_of_every_type()
    create_all(kernel, wanted)

    sandbox.ip(*command)

    assert kernel.found(wanted) != set(wanted)
    # What went with a device (its routes, say) is found missing only once the device is back.
    for _ in range(2):
        errors = [error for error in reconcile(kernel, wanted) if error is not None]
        assert not errors, [str(error) for error in errors]
    assert kernel.found(wanted) == set(wanted)


def test_routes_of_other_protocols_are_not_ours(kernel: Kernel, sandbox) -> None:
    wanted = lab_of_every_type()
    create_all(kernel, wanted)
    sandbox.ip("-n", "a", "route", "add", "10.77.0.0/16", "via", "10.0.0.2", "proto", "bird")
    sandbox.ip("-n", "a", "route", "add", "10.78.0.0/16", "via", "10.0.0.2")
    assert kernel.found(wanted) == set(wanted)


def test_devices_of_kinds_we_never_make_are_left_alone(kernel: Kernel, sandbox) -> None:
    create_all(kernel, [Namespace("a")])
    sandbox.ip("-n", "a", "link", "add", "i0", "type", "ifb")
    sandbox.ip("-n", "a", "link", "set", "i0", "up")
    sandbox.ip("-n", "a", "addr", "add", "10.0.0.1/24", "dev", "i0")
    assert kernel.found([]) == {Namespace("a")}


def test_a_device_that_somebody_else_made_is_found_when_it_is_asked_for(kernel: Kernel, sandbox) -> None:
    create_all(kernel, [Namespace("a")])
    sandbox.ip("-n", "a", "link", "add", "i0", "type", "ifb")
    up = AdminUp(Endpoint("a", "i0"))
    assert up not in kernel.found([up])
    assert kernel.apply([Change(None, up)]) == [None]
    assert up in kernel.found([up])


RULES = GUARD


@pytest.mark.parametrize(
    ("vandalize", "text"),
    [
        (lambda run: run("nft", "flush", "ruleset"), None),
        (lambda run: run("nft", "delete", "table", "inet", "edge"), None),
        (lambda run: run("nft", "add", "rule", "inet", "edge", "input", "accept"), "differs"),
    ],
    ids=["everything flushed", "table deleted", "rule added"],
)
def test_drift_of_packet_rules_is_seen_and_put_right(
    kernel: Kernel, sandbox, vandalize: Callable[[Callable[..., str]], None], text: str | None
) -> None:
    create_all(kernel, [Namespace("a"), RULES])
    assert RULES in kernel.found([RULES])

    vandalize(lambda *words: sandbox.ip("netns", "exec", "a", *words))

    found = [item for item in kernel.found([RULES]) if isinstance(item, Ruleset)]
    assert found == [] if text is None else text in found[0].text
    assert [error for error in reconcile(kernel, [Namespace("a"), RULES]) if error] == []
    assert RULES in kernel.found([RULES])


def test_packets_counted_are_no_drift(kernel: Kernel, sandbox) -> None:
    counting = Ruleset(
        "a",
        "inet",
        "edge",
        "\tcounter seen {\n\t}\n\tchain input {\n\t\ttype filter hook input priority filter;\n"
        "\t\tcounter name seen\n\t}\n",
    )
    create_all(kernel, [Namespace("a"), counting])

    with kernel.socket("a", socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto(b"x", ("127.0.0.1", 9))
    sandbox.ip("netns", "exec", "a", "nft", "add", "table", "ip", "unrelated")

    assert kernel.counters("a")["seen"][0] >= 1
    assert counting in kernel.found([counting])


def test_an_operators_own_table_is_not_spoken_of(kernel: Kernel, sandbox) -> None:
    create_all(kernel, [Namespace("a")])
    sandbox.ip("netns", "exec", "a", "nft", "add", "table", "ip", "mine")
    assert kernel.found([RULES]) == {Namespace("a")}


def test_a_table_no_longer_wanted_is_found(kernel: Kernel) -> None:
    create_all(kernel, [Namespace("a"), RULES])
    assert kernel.found([]) == {Namespace("a"), RULES}


def test_a_name_given_to_another_namespace_is_seen_as_empty(kernel: Kernel, sandbox) -> None:
    create_all(kernel, [*SPACES, WIRE, *UP])
    assert WIRE in kernel.found([WIRE])

    sandbox.ip("netns", "del", "a")
    sandbox.ip("netns", "add", "a")

    assert WIRE not in kernel.found([WIRE])


def test_a_stale_file_among_the_namespaces_is_no_namespace(kernel: Kernel, sandbox) -> None:
    create_all(kernel, [Namespace("a")])
    (sandbox.netns_directory / "stale").touch()
    assert kernel.found([]) == {Namespace("a")}


def test_wires_whose_indexes_others_chose_are_told_apart(kernel: Kernel, sandbox) -> None:
    names = ("p", "q", "r", "s")
    create_all(kernel, [Namespace(name) for name in names])
    for one, other in (("p", "q"), ("r", "s")):
        sandbox.ip(
            *("-n", one, "link", "add", "v", "index", "50", "type", "veth"),
            *("peer", "name", "v", "index", "50", "netns", other),
        )

    wires = {item.key for item in kernel.found([]) if isinstance(item, Veth)}

    assert wires == {("veth", "p:v", "q:v"), ("veth", "r:v", "s:v")}


def _tagged_lab() -> tuple[list[KernelObject], SubinterfaceTags]:
    inner, sub = Endpoint("a", "s"), Endpoint("vrf", "s")
    pair = Veth(sub, inner, 1500, "02:00:00:00:05:01", "02:00:00:00:05:02")
    lab = [*SPACES, Namespace("vrf"), WIRE, pair, *UP, AdminUp(sub), AdminUp(inner)]
    return lab, SubinterfaceTags(sub, A0, (), inner)


def test_an_inner_end_that_mirrors_a_dead_trunk_counts_as_up(kernel: Kernel, sandbox) -> None:
    lab, rule = _tagged_lab()
    create_all(kernel, lab)
    sandbox.ip("-n", "b", "link", "set", "eth0", "down")
    sandbox.ip("-n", "a", "link", "set", "s", "down")

    found = kernel.found([*lab, rule])

    assert AdminUp(Endpoint("a", "s")) in found
    assert found == set(lab) - {AdminUp(Endpoint("b", "eth0"))}


def test_an_inner_end_that_is_down_beside_a_live_trunk_is_drift(kernel: Kernel, sandbox) -> None:
    lab, rule = _tagged_lab()
    create_all(kernel, lab)
    sandbox.ip("-n", "a", "link", "set", "s", "down")
    assert AdminUp(Endpoint("a", "s")) not in kernel.found([*lab, rule])
