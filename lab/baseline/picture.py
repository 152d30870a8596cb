"""A lab at one moment as plain data that is the same again while nothing has changed. Pure.

No uptimes, process ids, counters or times; no realisation, for the same lab may run elsewhere. Sections hold
things by name, things hold figures by name; lists are text on one line, so that a version control system
shows a change where it is. `version` is a contract.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from edge.bgp.policy import protocol_name
from edge.bgp.state import RouteInfo
from edge.errors import UsageError
from edge.model import Vrf
from lab.checks.result import CheckResult, title
from lab.view import ImpairmentView, LabView, SessionView

KIND = "edgelab baseline"
VERSION = 1
SECTIONS = ("nodes", "links", "sessions", "routes", "classes", "checks")

Things = dict[str, dict[str, Any]]
Picture = dict[str, Any]


def picture(
    view: LabView, routes: Mapping[str, tuple[Vrf, Sequence[RouteInfo]]], results: Sequence[CheckResult]
) -> Picture:
    """All of it. routes: by namespace, the domain and all that its BGP speaker has."""
    learned: Things = {}
    for namespace, (vrf, found) in routes.items():
        learned.update(_routes(namespace, vrf, found))
    return {
        "kind": KIND,
        "version": VERSION,
        "lab": view.name,
        "nodes": {
            node.name: {"kind": node.kind, "tier": node.tier, "namespaces": " ".join(node.namespaces)}
            for node in view.nodes
        },
        "links": {
            link.name: {
                "ends": f"{link.a} {link.b}",
                "up": link.up,
                "carrier": link.carrier,
                "tags": ", ".join(f"{tags} {peering}" for tags, peering in link.tags),
                "harm": ", ".join(_harm(item) for item in link.impairments),
            }
            for link in view.links
        },
        "sessions": dict(map(_session, view.sessions)),
        "routes": learned,
        "classes": {
            f"{item['at']} {item['circuit']} {item['name']}": {
                "strict": item["strict"],
                "rate_bps": item["rate_bps"],
                "ceil_bps": item["ceil_bps"],
            }
            for item in view.queues
            # What is not steered has a queue in some realisations only.
            if item["circuit"]
        },
        "checks": {title(result.check): {"ok": result.ok} for result in results},
    }


def _session(item: SessionView) -> tuple[str, dict[str, Any]]:
    name = f"{item.label} {item.namespace}:{item.interface} -> {item.neighbor}"
    return name, {"state": item.state, "bfd": item.bfd, "in": item.imported, "out": item.exported}


def _harm(item: ImpairmentView) -> str:
    figures = (
        (item.delay_ms, f"delay {item.delay_ms:g} ms"),
        (item.jitter_ms, f"jitter {item.jitter_ms:g} ms"),
        (item.loss_percent, f"loss {item.loss_percent:g} %"),
        (item.duplicate_percent, f"duplicate {item.duplicate_percent:g} %"),
        (item.reorder_percent, f"reorder {item.reorder_percent:g} %"),
        (item.rate_bps, f"rate {item.rate_bps} bit/s"),
    )
    return f"towards {item.towards}: {' '.join(words for figure, words in figures if figure)}"


def _routes(namespace: str, vrf: Vrf, routes: Iterable[RouteInfo]) -> Things:
    """What came by BGP, by domain, prefix and neighbour; all that is accepted, and which of it is chosen."""
    neighbors = {protocol_name(session): str(session.neighbor) for session in vrf.sessions}
    return {
        f"{namespace} {route.network} from {neighbors[route.protocol]}": {
            "best": route.best,
            "next_hop": " ".join(str(hop.address or hop.device) for hop in route.next_hops) or route.kind,
            "as_path": " ".join(map(str, route.as_path)),
            "communities": " ".join(f"{high}:{low}" for high, low in sorted(route.communities)),
            "local_pref": route.local_pref,
            "med": route.med,
        }
        for route in routes
        if route.protocol in neighbors
    }


def dumps(found: Picture) -> str:
    """The picture as text: sorted, so that the same lab gives the same text."""
    return json.dumps(found, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def load(path: Path) -> Picture:
    """A picture that was recorded. Raises UsageError for a file that is none."""
    way_out = f"record one with: edgelab baseline -o {path}"
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}; {way_out}") from error
    except ValueError as error:
        raise UsageError(f"{path} is no baseline: {error}; {way_out}") from error
    if not isinstance(found, dict) or found.get("kind") != KIND:
        raise UsageError(f"{path} is no baseline; {way_out}")
    if found.get("version") != VERSION:
        raise UsageError(f"{path} is a baseline of version {found.get('version')}, not {VERSION}; {way_out}")
    for section in SECTIONS:
        things = found.get(section)
        if not isinstance(things, dict) or not all(isinstance(one, dict) for one in things.values()):
            raise UsageError(f"{path} has no {section} as a baseline has them; {way_out}")
    return found
