"""VRFs as the compiler of topologies makes them, for the golden files and the other tests of edge.bgp."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address, ip_address, ip_interface, ip_network
from typing import Any

from edge.model import (
    Bfd,
    ExportPolicy,
    ImportPolicy,
    LabelPath,
    Originate,
    PlainInterface,
    PrefixLimit,
    Session,
    Subinterface,
    Tag,
    Timers,
    Vrf,
)

RFC1918 = tuple(map(ip_network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")))


def _sub(name: str, vlan: int, *addresses: str) -> Subinterface:
    return Subinterface(name, "xe0", (Tag(3), Tag(vlan)), tuple(map(ip_interface, addresses)))


def _ce() -> Vrf:
    key, bfd = "s3cret", Bfd()
    teams = ImportPolicy(local_pref=150)

    def to_msee(name: str, device: str, local: str, neighbor: str) -> Session:
        return Session(
            name=name,
            group="microsoft",
            interface=device,
            local=ip_address(local),
            neighbor=ip_address(neighbor),
            local_asn=65010,
            peer_asn=12076,
            password=key,
            bfd=bfd,
            imports=teams if "ms" in name else ImportPolicy(),
        )

    def to_ce2(name: str, local: str, neighbor: str) -> Session:
        return Session(
            name=name,
            group="mesh",
            interface="lan0",
            local=ip_address(local),
            neighbor=ip_address(neighbor),
            local_asn=65010,
            peer_asn=65010,
            exports=ExportPolicy(groups=("microsoft",)),
            next_hop_self=True,
            timers=Timers(keepalive_s=3, hold_s=10),
        )

    return Vrf(
        name="ce1",
        namespace="ce1",
        router_id=IPv4Address("10.255.0.1"),
        subinterfaces=(
            _sub("xe0.100", 100, "192.168.15.1/30", "fd00:15::1/126"),
            _sub("xe0.200", 200, "198.51.100.1/30"),
        ),
        interfaces=(PlainInterface("lan0", (ip_interface("10.1.0.2/16"), ip_interface("fd00:1::2/64"))),),
        sessions=(
            to_msee("ams_private_4", "xe0.100", "192.168.15.1", "192.168.15.2"),
            to_msee("ams_private_6", "xe0.100", "fd00:15::1", "fd00:15::2"),
            to_msee("ams_ms_4", "xe0.200", "198.51.100.1", "198.51.100.2"),
            to_ce2("ce2_4", "10.1.0.2", "10.1.0.3"),
            to_ce2("ce2_6", "fd00:1::2", "fd00:1::3"),
        ),
        originates=(
            Originate(ip_network("10.1.0.0/16")),
            Originate(ip_network("203.0.113.0/28")),
            Originate(ip_network("fd00:1::/64")),
        ),
    )


def _msee_private() -> Vrf:
    gateway = {"group": "gateway", "interface": "gw0", "local_asn": 12076, "peer_asn": 65515}
    to_gateway = ExportPolicy(originated=False, groups=("customer",))
    customer = {"group": "customer", "interface": "xe0.100", "local_asn": 12076, "peer_asn": 65010}
    to_customer = ExportPolicy(originated=False, groups=("gateway",), empty_private_path=True)
    return Vrf(
        name="msee1 ams private",
        namespace="msee1-ams-private",
        router_id=IPv4Address("10.255.1.1"),
        subinterfaces=(_sub("xe0.100", 100, "192.168.15.2/30", "fd00:15::2/126"),),
        sessions=(
            Session(
                name="ams_private_4",
                local=ip_address("192.168.15.2"),
                neighbor=ip_address("192.168.15.1"),
                imports=ImportPolicy(ignore_communities=True, limit=PrefixLimit(4000)),
                exports=to_customer,
                password="s3cret",
                bfd=Bfd(),
                **customer,
            ),
            Session(
                name="ams_private_6",
                local=ip_address("fd00:15::2"),
                neighbor=ip_address("fd00:15::1"),
                imports=ImportPolicy(ignore_communities=True, limit=PrefixLimit(100, retry_s=30)),
                exports=replace(to_customer, prepend=8),
                password="s3cret",
                bfd=Bfd(750, 3),
                **customer,
            ),
            Session(
                name="hub_0_4",
                local=ip_address("10.200.0.1"),
                neighbor=ip_address("10.200.0.2"),
                exports=to_gateway,
                imports=ImportPolicy(limit=PrefixLimit(1000)),
                **gateway,
            ),
            Session(
                name="hub_0_6",
                local=ip_address("fdfe::1"),
                neighbor=ip_address("fdfe::2"),
                exports=to_gateway,
                enabled=False,
                **gateway,
            ),
        ),
    )


def _msee_microsoft() -> Vrf:
    imports = ImportPolicy(
        prefixes=(ip_network("203.0.113.0/28"), ip_network("2001:db8:40::/48")),
        refuse=RFC1918,
        refuse_default=True,
        ignore_communities=True,
        strip_private_asns=True,
        limit=PrefixLimit(200),
    )
    return Vrf(
        name="msee1 ams microsoft",
        namespace="msee1-ams-microsoft",
        router_id=IPv4Address("10.255.1.2"),
        sessions=(
            Session(
                name="ams_ms_4",
                group="customer",
                interface="xe0.200",
                local=ip_address("198.51.100.2"),
                neighbor=ip_address("198.51.100.1"),
                local_asn=12076,
                peer_asn=64496,
                imports=imports,
                exports=ExportPolicy(
                    originated=False,
                    groups=("core",),
                    communities=((12076, 5030), (12076, 5010), (12076, 5020)),
                ),
                password="s3cret",
                bfd=Bfd(),
            ),
            Session(
                name="no_filter_4",
                group="customer",
                interface="xe0.201",
                local=ip_address("198.51.100.6"),
                neighbor=ip_address("198.51.100.5"),
                local_asn=12076,
                peer_asn=64496,
                imports=ImportPolicy(prefixes=()),
                exports=ExportPolicy(originated=False, groups=("core",), communities=()),
            ),
            Session(
                name="core_4",
                group="core",
                interface="core0",
                local=ip_address("10.201.0.1"),
                neighbor=ip_address("10.201.0.2"),
                local_asn=12076,
                peer_asn=8075,
                exports=ExportPolicy(originated=False, groups=("customer",)),
            ),
        ),
    )


def _gateway() -> Vrf:
    def to_msee(number: int, family: int) -> Session:
        local, neighbor = (
            (f"10.200.{number}.2", f"10.200.{number}.1")
            if family == 4
            else (f"fdfe:{number}::2", f"fdfe:{number}::1")
        )
        return Session(
            name=f"msee{number}_{family}",
            group="microsoft",
            interface=f"er{number}",
            local=ip_address(local),
            neighbor=ip_address(neighbor),
            local_asn=65515,
            peer_asn=12076,
        )

    own = (((12076, 50002), (12076, 20001)), ())
    return Vrf(
        name="hub gateway",
        namespace="hub-gw0",
        router_id=IPv4Address("10.255.2.1"),
        interfaces=(PlainInterface("vnet0", (ip_interface("10.50.0.1/16"),)),),
        sessions=tuple(to_msee(number, family) for number in (1, 2) for family in (4, 6)),
        originates=tuple(
            Originate(ip_network(prefix), communities)
            for prefix, communities in zip(("10.50.0.0/16", "fd00:50::/48"), own, strict=True)
        ),
    )


def _core() -> Vrf:
    services = {
        "52.112.0.0/14": ((12076, 5030),),
        "13.107.6.152/31": ((12076, 5010),),
        "13.107.136.0/22": ((12076, 5020), (12076, 5100)),
    }
    return Vrf(
        name="core",
        namespace="core",
        router_id=IPv4Address("10.255.3.1"),
        sessions=tuple(
            Session(
                name=f"msee{number}_4",
                group="msee",
                interface=f"msee{number}",
                local=ip_address(f"10.201.{number}.2"),
                neighbor=ip_address(f"10.201.{number}.1"),
                local_asn=8075,
                peer_asn=12076,
            )
            for number in (1, 2)
        ),
        originates=tuple(Originate(ip_network(prefix), values) for prefix, values in services.items()),
        ecmp_paths=1,
    )


def _msee_reach() -> Vrf:
    """An MSEE joined to another circuit's, with two networks that hear of each other, and a marked route."""
    base = _msee_private()
    customer, network = base.sessions[0], ip_network("10.60.0.0/16")
    session = {"local_asn": 12076, "next_hop_self": True}
    return replace(
        base,
        sessions=(
            replace(
                customer,
                exports=replace(customer.exports, groups=("gateway", "reach"), keep_private=("reach",)),
            ),
            Session(
                name="far",
                group="reach",
                interface="far.gr",
                local=ip_address("172.31.0.1"),
                neighbor=ip_address("172.31.0.2"),
                peer_asn=12076,
                exports=ExportPolicy(originated=False, groups=("customer",)),
                enabled=False,
                **session,
            ),
            Session(
                name="hub",
                group="gateway",
                interface="hub",
                local=ip_address("10.50.255.228"),
                neighbor=ip_address("10.50.255.236"),
                peer_asn=65515,
                exports=ExportPolicy(
                    originated=False,
                    groups=("customer", "gateway"),
                    within=(("gateway", (network,)),),
                    attach=((12076, 20001), (12076, 50002)),
                    attach_to=(network,),
                ),
                allow_own_as=True,
                **session,
            ),
        ),
    )


def _vpn(name: str, local: str, neighbor: str, **other: Any) -> Session:
    return Session(
        name=name,
        group="vpn",
        interface="core",
        local=ip_address(local),
        neighbor=ip_address(neighbor),
        local_asn=64496,
        peer_asn=64496,
        exports=ExportPolicy(originated=False, groups=("access",)),
        bfd=Bfd(),
        next_hop_self=True,
        **other,
    )


def _pe_labels() -> Vrf:
    """A customer's VRF on a PE in a core of labels."""
    return Vrf(
        name="wan.vpn",
        namespace="pe-berlin.wan",
        router_id=IPv4Address("10.255.5.1"),
        interfaces=(
            PlainInterface("core", (ip_interface("100.64.0.1/31"), ip_interface("fd64:100::1/127"))),
        ),
        sessions=(
            _vpn("pe_rome", "100.64.0.1", "100.64.0.3", multihop=True),
            _vpn("pe_rome_v6", "fd64:100::1", "fd64:100::3", multihop=True),
        ),
        paths=(
            LabelPath(ip_network("100.64.0.3/32"), (17001, 23001), ip_address("100.64.0.0")),
            LabelPath(ip_network("fd64:100::3/128"), (17001, 23001), ip_address("fd64:100::")),
        ),
    )


def _p_reflector() -> Vrf:
    """A customer's VRF on a P router in a core of VRFs."""
    return Vrf(
        name="wan.vpn",
        namespace="colt-p1.wan",
        router_id=IPv4Address("10.255.5.2"),
        interfaces=(PlainInterface("core", (ip_interface("100.64.0.5/31"),)),),
        sessions=(
            _vpn("pe_rome", "100.64.0.5", "100.64.0.4", client=True),
            _vpn("colt_p2", "100.64.0.5", "100.64.0.4", imports=ImportPolicy(local_pref=90)),
        ),
        ecmp_paths=1,
    )


def vrfs() -> dict[str, Vrf]:
    """Name of the golden file -> the VRF it belongs to."""
    return {
        "ce": _ce(),
        "msee-private": _msee_private(),
        "msee-microsoft": _msee_microsoft(),
        "gateway": _gateway(),
        "core": _core(),
        "msee-reach": _msee_reach(),
        "pe-labels": _pe_labels(),
        "p-reflector": _p_reflector(),
        "empty": Vrf(name="empty", namespace="empty", router_id=IPv4Address("10.255.4.1")),
    }
