"""Drills for a topology, or a running lab, that we did not make: what its circuits have decides. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from edge.errors import UsageError
from lab.drills.model import Aim, Drill
from lab.drills.table import BFD, CARRIER, CRASH, DRAIN, NO_LOSS
from lab.model import Circuit, LabModel
from lab.places import circuit_links

HOLD_MARGIN_S = 5.0
"""What convergence may take after the hold time has run out."""

DEFAULT_HOLD_S = 180

LONG_S = 60.0
"""A drill that may lose packets for longer than this is one of those that take minutes."""


def drills_for(model: LabModel, topology: str) -> tuple[Drill, ...]:
    """Drills of every circuit with a private peering that has hosts at both its ends.

    topology: the name under which it is deployed. Raises UsageError when there is none.
    """
    found = tuple(drill for circuit in model.circuits for drill in _of(model, circuit, topology))
    if not found:
        raise UsageError(
            f"lab {model.name} has nothing to drill: no circuit with two connections has a host at its site "
            "and one in a virtual network behind its private peering"
        )
    return found


def _of(model: LabModel, circuit: Circuit, topology: str) -> Iterator[Drill]:
    hosts = _hosts(model, circuit.name)
    wires = circuit_links(model, circuit.name, "primary")
    peering = next((one for one in circuit.peerings if one.name == "private"), None)
    if hosts is None or not wires or peering is None or any(_both(model, link.name) for link in wires):
        return
    crossing = (wires[0].name,)
    speaker = next(
        end.namespace
        for end in model.peering_ends
        if (end.circuit, end.connection, end.side) == (circuit.name, "primary", "customer")
    )
    target = (f"{circuit.name}/primary",)
    silent = BFD if peering.bfd else _hold(model, circuit.name)
    carrier = CARRIER if _carrier_is_seen(model, circuit) else silent
    waiting_s = 15.0 if peering.bfd else silent.gap_s or 0.0
    several = len(model.circuits) > 1
    for name, words, kind, targets, aim, at_least_s, options in (
        ("carrier-loss", "The primary's cable is pulled.", "link-down", target, carrier, 1.5, {}),
        ("silent-loss", "No frame passes the primary.", "silent", target, silent, 1.5, {}),
        ("daemon-crash", "The primary's routing software dies.", "crash", (speaker,), CRASH, 3.0, {}),
        (
            "maintenance",
            "Microsoft maintains the primary.",
            "maintenance",
            target,
            NO_LOSS,
            5.0,
            {"drain": DRAIN},
        ),
    ):
        yield Drill(
            f"{name}-{circuit.name}" if several else name,
            words,
            topology,
            kind,
            targets,
            aim,
            crossing,
            options,
            *hosts,
            at_least_s=at_least_s,
            deadline_s=max(15.0, 2 * waiting_s),
            long=kind in ("link-down", "silent") and (aim.gap_s or 0.0) > LONG_S,
        )


def _both(model: LabModel, name: str) -> bool:
    """Whether a wire carries both connections, so that to cut it is to cut the circuit."""
    return any(link.name == name and link.circuit and not link.connection for link in model.links)


def _carrier_is_seen(model: LabModel, circuit: Circuit) -> bool:
    """Whether Microsoft's end sees the customer's cable pulled: on Direct, or by link-loss forwarding."""
    spec = model.document["circuits"].get(circuit.name, {})
    return circuit.model == "direct" or bool(spec.get("link_loss_forwarding"))


def _hold(model: LabModel, circuit: str) -> Aim:
    """Without BFD the hold time decides, the customer's where it is the lower one (facts 4)."""
    spec = model.document["circuits"].get(circuit, {})
    timers = spec.get("peerings", {}).get("private", {}).get("timers", {})
    hold_s = min(DEFAULT_HOLD_S, timers.get("hold", DEFAULT_HOLD_S))
    return Aim(hold_s + HOLD_MARGIN_S, f"hold time {hold_s} s (facts 4)")


def _hosts(model: LabModel, circuit: str) -> tuple[str, str] | None:
    """A host at the circuit's site and one in a virtual network that it leads to; None without both."""
    sites = model.document["sites"].values()
    near = next(
        (h for site in sites if circuit in site.get("circuits", ()) for h in site.get("hosts") or ()), None
    )
    vnets = model.document.get("vnets", {}).values()
    far = next(
        (
            host
            for vnet in vnets
            if any(link.get("circuit") == circuit for link in vnet.get("connections", ()))
            for host in vnet.get("hosts") or ()
        ),
        None,
    )
    return (near, far) if near and far else None
