"""Topologies for property tests: valid ones of any shape, and damage to them."""

from __future__ import annotations

import copy
from typing import Any

from hypothesis import strategies as st

LOCATIONS = ("Amsterdam", "Dublin", "London")
PROVIDERS = ("Equinix", "Megaport", "AT&T NetBond")
NAME = st.from_regex(r"[a-z][a-z0-9-]{0,28}[a-z0-9]", fullmatch=True).map(lambda name: f"x{name}")


def circuit(number: int, draw: Any) -> dict[str, Any]:
    """A valid circuit whose subnets belong to its number."""
    model = draw(st.sampled_from(["cloud-exchange", "cloud-exchange", "point-to-point", "any-to-any"]))
    managed = draw(st.sampled_from(["layer2", "layer2", "layer3"])) if model != "any-to-any" else "layer3"
    # One line with a single tag cannot carry two connections.
    encapsulation = draw(st.sampled_from(["qinq", "dot1q"])) if model != "point-to-point" else "qinq"
    private = {
        "vlan": draw(st.integers(1, 2000)),
        "peer_asn": draw(st.sampled_from([65010, 65020, 4200000000])),
        "subnet": f"172.16.{number}.0/29",
        "ipv6": {"subnet": f"fd00:15:{number}::/125"},
    }
    microsoft = {
        "vlan": draw(st.integers(2001, 4094)),
        "peer_asn": 64496,
        "subnet": f"198.51.100.{8 * number}/29",
        "advertised_public_prefixes": [f"203.0.113.{8 * number}/29"],
        "route_filter": ["teams"],
    }
    peerings = {"private": private}
    if draw(st.booleans()):
        peerings["microsoft"] = microsoft
    return {
        "model": model,
        "managed": managed,
        "provider": draw(st.sampled_from(PROVIDERS)),
        "location": draw(st.sampled_from(LOCATIONS)),
        "sku": {"tier": "premium"},
        "bandwidth": draw(st.sampled_from(["50M", "1G", "10G"])),
        "handoff": {"encapsulation": encapsulation},
        "peerings": peerings,
    }


def site(
    number: int, edges: list[str], circuits: list[str], hosts: list[str], internet: bool
) -> dict[str, Any]:
    """A valid site whose LAN belongs to its number."""
    return {
        "edges": edges,
        "lan": [f"10.{number}.0.0/16", f"fd00:{number}::/64"],
        "hosts": {host: f"10.{number}.1.{n}" for n, host in enumerate(hosts, 10)},
        "circuits": circuits,
        "internet": internet,
    }


def vnet(number: int, circuits: list[str], hosts: list[str]) -> dict[str, Any]:
    """A valid virtual network whose address space belongs to its number."""
    return {
        "region": "westeurope",
        "address_space": [f"10.{100 + number}.0.0/16", f"fd00:{100 + number}::/48"],
        "gateway": "ErGw3AZ",
        "connections": [{"circuit": name} for name in circuits],
        "hosts": {host: [f"10.{100 + number}.1.{n}"] for n, host in enumerate(hosts, 4)},
    }


@st.composite
def topologies(draw: Any) -> dict[str, Any]:
    """A valid topology of up to four circuits, three sites and three virtual networks."""
    names = draw(st.lists(NAME, min_size=36, max_size=36, unique_by=lambda name: name[:12]))
    take = iter(names)
    circuits = {next(take): circuit(number, draw) for number in range(draw(st.integers(1, 4)))}
    left = list(circuits)
    sites: dict[str, Any] = {}
    for number in range(1, 4):
        last = number == 3
        own = [left.pop() for _ in range(len(left) if last else draw(st.integers(0, len(left))))]
        edges = [next(take) for _ in range(draw(st.integers(1, 2)))] if own else []
        hosts = [next(take) for _ in range(draw(st.integers(0, 2)))]
        if own or hosts or not last:
            sites[next(take)] = site(number, edges, own, hosts, draw(st.booleans()))
    for name, one in circuits.items():
        for there in sites.values() if one["model"] == "any-to-any" else ():
            if there["edges"] and name not in there["circuits"] and draw(st.booleans()):
                there["circuits"].append(name)
    for there in sites.values():
        vpns = [name for name in there["circuits"] if circuits[name]["model"] == "any-to-any"]
        # A PE is of one provider, and so are the circuits of a site that meet on it.
        if vpns and len({circuits[name]["provider"] for name in vpns}) == 1 and draw(st.booleans()):
            pes = len(there["edges"]) if len(there["edges"]) > 1 else draw(st.integers(1, 2))
            there["provider_edges"] = [next(take) for _ in range(pes)]
    vnets = {
        next(take): vnet(
            number,
            draw(st.lists(st.sampled_from(list(circuits)), unique=True)),
            [next(take) for _ in range(draw(st.integers(0, 1)))],
        )
        for number in range(draw(st.integers(0, 3)))
    }
    core = draw(st.sampled_from(["auto", "vrf", "mpls"]))
    return {"name": "generated", "core": core, "circuits": circuits, "sites": sites, "vnets": vnets}


SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**40), 2**40)
    | st.floats(allow_nan=False)
    | st.text(max_size=12)
    | st.sampled_from(
        ["10.0.0.0/8", "::/0", "fe80::1%eth0", "12076:5030", "ams", "pc1", "all", "65515", "a/b", "-"]
    )
)
GARBAGE = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)


def places(document: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every path in a document below its root."""
    found = [path] if path else []
    items: list[tuple[Any, Any]] = []
    if isinstance(document, dict):
        items = list(document.items())
    elif isinstance(document, list):
        items = list(enumerate(document))
    for key, value in items:
        found += places(value, (*path, key))
    return found


@st.composite
def damaged(draw: Any, document: dict[str, Any]) -> dict[str, Any]:
    """The document with one to three parts replaced, removed or added."""
    document = copy.deepcopy(document)
    for _ in range(draw(st.integers(1, 3))):
        all_places = places(document)
        if not all_places:
            break
        path = draw(st.sampled_from(all_places))
        parent = document
        for part in path[:-1]:
            parent = parent[part]
        action = draw(st.sampled_from(["replace", "remove", "add", "copy"]))
        if action == "replace":
            parent[path[-1]] = draw(GARBAGE)
        elif action == "remove":
            del parent[path[-1]]
        elif action == "copy":
            parent[path[-1]] = copy.deepcopy(draw(st.sampled_from([_at(document, p) for p in all_places])))
        elif isinstance(parent, dict):
            parent[draw(st.text(max_size=6))] = draw(GARBAGE)
        else:
            parent.append(draw(GARBAGE))
    return document


def _at(document: Any, path: tuple[Any, ...]) -> Any:
    for part in path:
        try:
            document = document[part]
        except (KeyError, IndexError, TypeError):
            return None
    return document
