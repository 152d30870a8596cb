"""What names need beside the kernel's objects, in the shape that plan and engine know. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

from edge.model import Address
from edge.net.objects.base import Key
from lab.names import resolver, web
from lab.names.plan import FrontEnd, Names

KIND = "names"


@dataclass(frozen=True, slots=True)
class NodeFiles:
    """Every program in the lab asks the nameserver at `address` and trusts the lab's own authority."""

    namespace: str
    address: Address

    @property
    def key(self) -> Key:  # noqa: D102 - see KernelObject
        return (KIND, "nodes")

    def __str__(self) -> str:
        return f"nameserver {self.address} and the lab's certificate authority for all nodes"


@dataclass(frozen=True, slots=True)
class Resolver:
    """A DNS server in a namespace with this configuration; a change starts it anew."""

    namespace: str
    address: Address
    config: str

    @property
    def key(self) -> Key:  # noqa: D102 - see KernelObject
        return (KIND, "resolver")

    def __str__(self) -> str:
        return f"DNS server in {self.namespace}"


@dataclass(frozen=True, slots=True)
class WebServer:
    """The web server behind all front ends, with their certificates; a change starts it anew."""

    namespace: str
    config: str
    sockets: tuple[tuple[str, Address, int], ...]
    front_ends: tuple[FrontEnd, ...]

    @property
    def key(self) -> Key:  # noqa: D102 - see KernelObject
        return (KIND, "web")

    def __str__(self) -> str:
        return f"web server of {len(self.front_ends)} front ends"


NamesObject: TypeAlias = NodeFiles | Resolver | WebServer


def objects(names: Names) -> Iterator[NamesObject]:
    """Everything that a lab's names need."""
    yield NodeFiles(names.resolver, names.address)
    yield Resolver(names.resolver, names.address, resolver.render(names))
    yield WebServer(names.resolver, web.render(names), web.sockets(names), names.front_ends)
