"""What a lab's provider cores are made of on this machine: settled before its model is derived.

A topology may leave it to the machine (`core: auto`). A model is the same everywhere, so the document that it
is derived from says `mpls` or `vrf` from then on.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edge.net.capabilities import Capability
    from edge.net.mpls_support import CoreChoice


def has_core(document: dict[str, Any]) -> bool:
    """Whether a document has an any-to-any circuit, and so a core."""
    circuits = document.get("circuits")
    found = circuits.values() if isinstance(circuits, dict) else ()
    return any(isinstance(circuit, dict) and circuit.get("model") == "any-to-any" for circuit in found)


def settle(
    document: dict[str, Any], probe: Callable[[], Capability] | None = None
) -> tuple[dict[str, Any], CoreChoice | None]:
    """The document with its core decided, and why so; unchanged without a core.

    probe: asks the machine; None asks this one. Raises CapabilityError when labels are asked for that the
    kernel does not route.
    """
    if not has_core(document):
        return document, None
    from edge.net import mpls_support

    asked = document.get("core", "auto")
    if asked not in ("auto", "mpls"):
        # `derive` says what is wrong with a word that is none of the three.
        return document, mpls_support.CoreChoice("vrf", "asked for")
    choice = mpls_support.choose_core((probe or mpls_support.probe)(), asked)
    return {**document, "core": choice.name}, choice
