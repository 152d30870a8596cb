"""What is asked of IKE in a namespace, as data. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from edge.model import IpsecTunnel, Vrf


@dataclass(frozen=True, slots=True)
class IkeDaemon:
    """A charon in a namespace that agrees on the keys of these tunnels; each has an `exchange`.

    A change begins the tunnels that differ anew and leaves the others alone.
    """

    namespace: str
    tunnels: tuple[IpsecTunnel, ...]

    @property
    def key(self) -> tuple[str, ...]:  # noqa: D102 - see edge.net.objects.base.KernelObject
        return ("ike", self.namespace)

    def __str__(self) -> str:
        return f"IPsec key exchange in {self.namespace}"


def daemon_of(vrf: Vrf) -> IkeDaemon | None:
    """Who agrees on the keys of a routing domain's tunnels; None when all have theirs."""
    tunnels = tuple(tunnel for tunnel in vrf.tunnels if tunnel.exchange is not None)
    return IkeDaemon(vrf.namespace, tunnels) if tunnels else None
