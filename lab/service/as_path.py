"""AS paths as they cross Microsoft's edge: what is put in front, what is taken out."""

from __future__ import annotations

from typing import Literal

from edge.model import GATEWAY_ASN, MSEE_ASN
from lab.service import asn

AsPath = tuple[int, ...]

MAINTENANCE_PREPENDS = 8
"""Extra times that 12076 stands in routes of a connection under maintenance, both ways (facts 4)."""


def is_private(number: int) -> bool:
    """Whether Microsoft treats a number as private: RFC 6996's, and its own 65515-65520 (facts 3.2)."""
    return number in asn.MICROSOFT_RESERVED or asn.kind(number) == "private"


def without_private(path: AsPath) -> AsPath:
    """The path as a Microsoft peering keeps it: private numbers are taken out (facts 3.2).

    A prepend of private numbers has no effect there, one of public numbers has.
    """
    return tuple(number for number in path if not is_private(number))


def towards_customer(
    path: AsPath, prepend: int = 0, mixed: Literal["keep-mixed", "strip"] = "keep-mixed"
) -> AsPath:
    """The path on-premises sees of what a gateway announced with `path` (facts 3.2).

    `12076` alone when the path is private throughout, which 65515 of the gateway always is; with a public
    number in it the private ones stay, or go, which differs between Microsoft's routers.
    """
    own = (MSEE_ASN,) * (1 + prepend)
    if all(is_private(number) for number in path):
        return own
    return (*own, *(path if mixed == "keep-mixed" else without_private(path)))


def towards_gateway(path: AsPath, prepend: int = 0) -> AsPath:
    """The path a gateway sees of what the customer announced with `path` (facts 3.2)."""
    return ((MSEE_ASN,) * (1 + prepend)) + path


def from_gateway(path: AsPath = ()) -> AsPath:
    """The path of a VNet's own route, or of one a router in it announced, at the MSEE (facts 3.2)."""
    return (GATEWAY_ASN, *path)
