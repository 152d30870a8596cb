"""What all objects have in common: a key, a namespace, most of them a device. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Protocol

Key = tuple[str, ...]


class KernelObject(Protocol):
    """What plan and engine need of an object. `namespace` is where its work is done."""

    @property
    def key(self) -> Key:
        """Which thing it is: kind first, then names."""

    @property
    def namespace(self) -> str:
        """The namespace in which it is made and read."""

    def __str__(self) -> str: ...


@dataclass(frozen=True, slots=True, order=True)
class Endpoint:
    """A network device in a namespace, shown as `ce1:xe0`."""

    namespace: str
    device: str

    def __str__(self) -> str:
        return f"{self.namespace}:{self.device}"


@dataclass(frozen=True, slots=True)
class OnDevice:
    """What there is once on a device: its key is the kind and the device."""

    kind: ClassVar[str]
    at: Endpoint

    @property
    def key(self) -> Key:
        """See KernelObject."""
        return (self.kind, str(self.at))

    @property
    def namespace(self) -> str:
        """The device's."""
        return self.at.namespace
