"""What a core gives to one VRF of a customer, whichever way it joins them."""

from __future__ import annotations

from dataclasses import dataclass

from edge.model import Address, ExportPolicy, ImportPolicy, LabelPath, PlainInterface, Session, Subinterface
from lab.topology import names
from lab.topology.circuit_side import VPN_GROUP, provider_asn
from lab.topology.ipvpn import Vpn
from lab.topology.orders import CircuitOrder
from lab.topology.parts import BFD


@dataclass(frozen=True, slots=True)
class CoreSide:
    """Interfaces towards the core, the sessions over them, and the paths that these need."""

    subinterfaces: tuple[Subinterface, ...]
    interfaces: tuple[PlainInterface, ...]
    sessions: tuple[Session, ...]
    paths: tuple[LabelPath, ...] = ()


def vpn_name(vpn: Vpn) -> str:
    """Name of a customer's VRF, the same on every router of the core."""
    return f"{vpn.circuit}.vpn"


def vpn_session(
    order: CircuitOrder,
    towards: str,
    device: str,
    local: Address,
    neighbor: Address,
    groups: tuple[str, ...],
    *,
    client: bool = False,
    multihop: bool = False,
    imports: ImportPolicy | None = None,
) -> Session:
    """iBGP between two VRFs of one customer; `groups` are passed on, own prefixes are not."""
    name = names.identifier(names.short(towards, 40).replace(".", "_"))
    return Session(
        name if local.version == 4 else f"{name}_v6",
        VPN_GROUP,
        device,
        local,
        neighbor,
        provider_asn(order),
        provider_asn(order),
        imports=imports or ImportPolicy(),
        exports=ExportPolicy(originated=False, groups=groups),
        bfd=BFD,
        next_hop_self=True,
        client=client,
        multihop=multihop,
    )
