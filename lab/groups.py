"""Groups of verbs for the service; apart from `lab.verbs`, so that `edgelab --help` imports no command."""

from __future__ import annotations

GROUPS: dict[str, str] = {
    "circuit": "Order, change and delete circuits.",
    "peering": "Write, disable, enable, reset and delete peerings.",
    "authorization": "Keys with which another subscription links to a circuit.",
    "filter": "Route filters of Microsoft peerings.",
    "gateway": "Gateways of virtual networks.",
    "connection": "Connections between gateways and circuits.",
    "vnet": "Virtual networks.",
    "reach": "Global Reach: circuits joined to each other.",
    "port": "ExpressRoute Direct port pairs.",
    "provider": "What the connectivity provider does.",
    "microsoft": "What Microsoft and the registries do.",
}
"""Groups of verbs, in the order in which `edgelab --help` lists them."""
