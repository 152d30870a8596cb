"""The labs that drills run in: gallery files, and small ones made for one question. Reads files only."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

GALLERY = Path(__file__).parents[1] / "topologies"
SUFFIX = ".edge.yml"


@dataclass(frozen=True, slots=True)
class Setting:
    """A lab for drills. lab: which lab it is; settings of one lab are deployed over each other."""

    lab: str
    document: Callable[[], dict[str, Any]]


def gallery() -> tuple[str, ...]:
    """Names of the gallery's files."""
    return tuple(sorted(path.name.removesuffix(SUFFIX) for path in GALLERY.glob(f"*{SUFFIX}")))


def read(path: Path) -> dict[str, Any]:
    """A topology file as checked data, with all that it names written out. Raises InputError."""
    from lab.topology import load

    return load(path).document


def _gallery(name: str) -> Callable[[], dict[str, Any]]:
    return lambda: read(GALLERY / f"{name}{SUFFIX}")


def line(
    *,
    forwarding: bool = False,
    model: str = "cloud-exchange",
    bfd: bool = True,
    timers: tuple[int, int] = (60, 180),
    prefer_primary: bool = False,
) -> dict[str, Any]:
    """One circuit, two edges, two MSEEs: the smallest lab with two ways from pc1 to vm1.

    timers: keepalive and hold time, seconds. prefer_primary: by local preference, against AS paths.
    """
    site: dict[str, Any] = {
        "edges": ["ce1", "ce2"],
        "lan": "10.1.0.0/16",
        "hosts": {"pc1": "10.1.0.10"},
        "circuits": ["ams"],
        "internet": False,
    }
    if prefer_primary:
        site["overrides"] = [{"edge": "ce1", "circuit": "ams", "peering": "private", "local_preference": 200}]
    return {
        "name": "line",
        "circuits": {
            "ams": {
                "model": model,
                "provider": "Equinix",
                "location": "Amsterdam",
                "sku": {"tier": "standard", "family": "metered"},
                "bandwidth": "200M",
                "link_loss_forwarding": forwarding,
                "peerings": {
                    "private": {
                        "vlan": 100,
                        "peer_asn": 65010,
                        "subnet": "192.168.15.0/29",
                        "bfd": bfd,
                        "timers": {"keepalive": timers[0], "hold": timers[1]},
                    }
                },
            }
        },
        "sites": {"hq": site},
        "vnets": {
            "hub": {
                "region": "westeurope",
                "address_space": "10.50.0.0/16",
                "connections": [{"circuit": "ams"}],
                "hosts": {"vm1": "10.50.1.4"},
            }
        },
    }


SETTINGS: dict[str, Setting] = {
    "exchange": Setting("line", line),
    "forwarding": Setting("line", lambda: line(forwarding=True, model="point-to-point")),
    "exchange-3-10": Setting("line", lambda: line(bfd=False, timers=(3, 10))),
    "exchange-60-180": Setting("line", lambda: line(bfd=False)),
    "exchange-preferred": Setting("line", lambda: line(prefer_primary=True)),
    "metro": Setting("metro", _gallery("metro")),
    "direct": Setting("direct", _gallery("direct")),
    "vpn-backup": Setting("vpn-backup", _gallery("vpn-backup")),
}
"""By name: gallery files, and what `line` gives, by a cloud exchange if nothing else is said."""
