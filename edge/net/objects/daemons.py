"""Programs that run in a namespace for it. Pure. (For key exchange of tunnels see edge.ike.objects.)"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from edge.net.objects.base import Key, OnDevice


@dataclass(frozen=True, slots=True)
class MkaDaemon(OnDevice):
    """Key agreement (MKA, IEEE 802.1X) on a port, with pre-shared keys in hexadecimal digits."""

    kind: ClassVar[str] = "mka"
    ckn: str
    cak: str = field(repr=False)
    priority: int

    def __str__(self) -> str:
        return f"MACsec key agreement on {self.at}"


@dataclass(frozen=True, slots=True)
class BirdDaemon:
    """A BIRD in a namespace with this configuration; a change is a soft reconfiguration."""

    namespace: str
    config: str

    @property
    def key(self) -> Key:  # noqa: D102 - see KernelObject
        return ("bird", self.namespace)

    def __str__(self) -> str:
        return f"BIRD in {self.namespace}"


@dataclass(frozen=True, slots=True)
class OwnRouter:
    """A user's own routing software (edge.own.kinds) with the user's configuration; a change starts it anew.

    file: what the user calls the configuration, for messages about its lines.
    """

    namespace: str
    kind: str
    config: str = field(repr=False)
    file: str

    @property
    def key(self) -> Key:  # noqa: D102 - see KernelObject
        return ("own-router", self.namespace)

    def __str__(self) -> str:
        return f"{self.kind} in {self.namespace} with {self.file}"
