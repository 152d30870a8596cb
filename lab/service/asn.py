"""AS numbers: whose they are and which a customer may use on a peering."""

from __future__ import annotations

from typing import Literal

from edge.model import MSEE_ASN
from lab.service.refusal import Refusal

MICROSOFT_RESERVED = range(65515, 65521)
"""Reserved for Microsoft's internal use (facts 3.2); 65515 is the virtual network gateway."""

DOCUMENTATION = (range(64496, 64512), range(65536, 65552))
"""For documentation (RFC 5398); not allowed in the path of a Microsoft peering (facts 3.2)."""

PRIVATE = (range(64512, 65535), range(4_200_000_000, 4_294_967_295))
"""For private use (RFC 6996)."""

AS_TRANS = 23456
"""Stands in for a 4-octet number towards a 2-octet speaker (RFC 6793), never a speaker's own."""

RESERVED = (0, 65535, 4_294_967_295)
"""0 by RFC 7607, the last of each range by RFC 7300."""

MAX_ASN = 4_294_967_295

AsnKind = Literal["public", "private", "documentation", "microsoft", "reserved"]

EXAMPLE = {"private": "65010", "microsoft": "64496"}


def kind(asn: int) -> AsnKind:
    """Which sort of AS number this is. A number outside 0-4294967295 counts as reserved."""
    if asn in MICROSOFT_RESERVED or asn == MSEE_ASN:
        return "microsoft"
    if not 0 <= asn <= MAX_ASN or asn in RESERVED or asn == AS_TRANS:
        return "reserved"
    if any(asn in numbers for numbers in DOCUMENTATION):
        return "documentation"
    if any(asn in numbers for numbers in PRIVATE):
        return "private"
    return "public"


def refuse_peer_asn(asn: int, peering: Literal["private", "microsoft"], strict: bool) -> Refusal | None:
    """Whether a customer may speak as `asn` on a peering (facts 3.2).

    A private number on a Microsoft peering needs Microsoft's manual validation and a documentation
    number is not allowed there at all; a lab takes both unless it is `strict`.
    """
    example = EXAMPLE[peering]
    if asn == MSEE_ASN:
        return Refusal(
            "AsnMicrosoft",
            f"{asn} is Microsoft's own AS number and the peering is eBGP",
            f"use your own AS number, for example {example}",
        )
    if asn in MICROSOFT_RESERVED:
        return Refusal(
            "AsnReserved",
            f"{asn} is reserved by Microsoft ({MICROSOFT_RESERVED.start}-{MICROSOFT_RESERVED.stop - 1})",
            f"use another private AS number, for example {example}"
            if peering == "private"
            else f"use your public AS number, for example {example}",
        )
    sort = kind(asn)
    if sort == "reserved":
        return Refusal(
            "AsnInvalid",
            f"{asn} cannot be the AS number of a BGP speaker",
            f"use a number of 1-4294967294 that is not reserved, for example {example}",
        )
    if strict and peering == "microsoft" and sort == "private":
        return Refusal(
            "AsnPrivate",
            f"{asn} is a private AS number, which needs Microsoft's manual validation here",
            "use your public AS number, or take `strict: true` away",
        )
    if strict and peering == "microsoft" and sort == "documentation":
        return Refusal(
            "AsnDocumentation",
            f"{asn} is reserved for documentation and not allowed on a Microsoft peering",
            "use your public AS number, or take `strict: true` away",
        )
    return None
