"""What a provider's core is asked to join: one VPN for each any-to-any circuit. Pure names, no addresses.

    sites  ce-berlin -- colt-berlin-pe --+          +-- colt-amsterdam-pe1 --- msee1    (facts 1.1: the PE
           ce-paris --- colt-paris-pe ---+- P - P --+                                    that faces the MSEE
           ce-rome ---- colt-rome-pe ----+          +-- colt-amsterdam-pe2 --- msee2     speaks BGP with it)

A *backbone* is a provider's P routers and PEs, all customers share it. A *VPN* is one customer's part of it:
a VRF on each PE that one of its sites or its MSEEs hang on. Each PE has one P router, so that there is one
way between two PEs; a circuit's two PEs towards Microsoft have different ones.

Example: circuit `wan` of Colt in Amsterdam, sites berlin and paris. The VPN's borders are
`colt-amsterdam-pe1` (on `colt-p1`) and `-pe2` (on `colt-p2`), its attachments (berlin, ce-berlin,
colt-berlin-pe, `wan-ce-berlin`) and the same of paris. The VRF on berlin's PE is the namespace
`colt-berlin-pe.wan`. `vpn_core` makes routers of it, `vpn_labels` (core: mpls) or `vpn_hops` (core: vrf) what
joins the VRFs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from lab.topology import names
from lab.topology.circuit_schema import Circuit
from lab.topology.schema import Site, Topology

P_ROUTERS = (1, 2)
"""Numbers of a backbone's P routers."""

VPN_TAGS = 4093
"""Tags of customers on core trunks: 2-4094."""


@dataclass(frozen=True, slots=True)
class Attachment:
    """An edge (CE) on a PE. number: of this PE among those of the edge, from 1."""

    circuit: str
    site: str
    edge: str
    pe: str
    number: int

    @property
    def link(self) -> str:
        """The access link between the two."""
        return names.attachment_link(self.circuit, self.edge, self.number)

    @property
    def device(self) -> str:
        """The edge's device on it."""
        return names.customer_port(self.circuit, self.number)

    @property
    def pe_device(self) -> str:
        """The PE's device on it, in the VRF."""
        return names.short(self.edge, names.MAX_DEVICE)


@dataclass(frozen=True, slots=True)
class Vpn:
    """One any-to-any circuit in its provider's core. tag: of its frames on core trunks, with `core: vrf`.

    borders: the PEs towards MSEE 1 and 2. pes: those and the sites', each once.
    """

    circuit: str
    tag: int
    borders: tuple[str, str]
    attachments: tuple[Attachment, ...]

    @property
    def pes(self) -> tuple[str, ...]:
        """Every PE that has a VRF of this VPN."""
        return tuple(dict.fromkeys((*self.borders, *(one.pe for one in self.attachments))))

    @property
    def sites(self) -> tuple[str, ...]:
        """The sites, each once."""
        return tuple(dict.fromkeys(one.site for one in self.attachments))

    def at(self, pe: str) -> tuple[Attachment, ...]:
        """The edges that hang on a PE."""
        return tuple(one for one in self.attachments if one.pe == pe)


@dataclass(frozen=True, slots=True)
class Backbone:
    """A provider's core and the VPNs that it carries."""

    provider: str
    vpns: tuple[Vpn, ...]

    @property
    def routers(self) -> tuple[str, ...]:
        """The P routers."""
        return tuple(names.core_router(self.provider, number) for number in P_ROUTERS)

    @property
    def trunk(self) -> str:
        """The link between the P routers."""
        return f"{self.routers[0]}-{self.routers[1]}"

    @property
    def pes(self) -> tuple[str, ...]:
        """The PEs, those towards MSEEs first."""
        borders = [pe for vpn in self.vpns for pe in vpn.borders]
        return tuple(dict.fromkeys((*borders, *(pe for vpn in self.vpns for pe in vpn.pes))))

    def home(self, pe: str) -> str:
        """The P router that a PE hangs on: that of its number, of a site's PE by its name."""
        for vpn in self.vpns:
            if pe in vpn.borders:
                return self.routers[vpn.borders.index(pe)]
        return self.routers[names.digest(f"home {pe}", 32) % len(self.routers)]

    def vpns_at(self, pe: str) -> tuple[Vpn, ...]:
        """The VPNs that have a VRF on a PE."""
        return tuple(vpn for vpn in self.vpns if pe in vpn.pes)


def is_any_to_any(spec: Circuit | None) -> bool:
    """Whether a circuit of the file is an IPVPN."""
    return spec is not None and spec.model == "any-to-any"


def backbones(topology: Topology, circuits: Mapping[str, tuple[str, str]]) -> tuple[Backbone, ...]:
    """The backbones of a lab. circuits: name -> (provider, location) of those that there are."""
    found: dict[str, list[Vpn]] = {}
    for name, (provider, location) in circuits.items():
        if not is_any_to_any(topology.circuits.get(name)):
            continue
        own = found.setdefault(provider, [])
        borders = (names.border_pe(provider, location, 1), names.border_pe(provider, location, 2))
        tag = _tag(name, {vpn.tag for vpn in own})
        own.append(Vpn(name, tag, borders, tuple(_attachments(topology, name, provider))))
    return tuple(Backbone(provider, tuple(vpns)) for provider, vpns in found.items())


def _tag(circuit: str, taken: set[int]) -> int:
    """A tag of the circuit's name, the next free one when another customer has it."""
    number = names.digest(f"vpn {circuit}", 32) % VPN_TAGS
    while number + 2 in taken:
        number = (number + 1) % VPN_TAGS
    return number + 2


def _attachments(topology: Topology, circuit: str, provider: str) -> Iterator[Attachment]:
    for name, site in topology.sites.items():
        if circuit in site.circuits:
            for number in range(len(site.edges)):
                yield from attachments_of(circuit, provider, name, site, number)


def attachments_of(circuit: str, provider: str, name: str, site: Site, number: int) -> Iterator[Attachment]:
    """Where a site's edge of that number (from 0) hangs."""
    for count, pe in enumerate(pes_of(provider, name, site, number), 1):
        yield Attachment(circuit, name, site.edges[number], pe, count)


def pes_of(provider: str, name: str, site: Site, number: int) -> tuple[str, ...]:
    """The PEs of a site's edge: the only one, its own, or all of them for an only edge (facts 1.1)."""
    given = tuple(site.provider_edges) or (names.site_pe(provider, name),)
    if len(given) == 1 or len(site.edges) == 1:
        return given
    return given[number : number + 1]
