"""What the file may say about a site's way to the Internet, and the keys of tunnels on it."""

from __future__ import annotations

from ipaddress import IPv4Network
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from edge.model import Network
from lab.topology.part import Part
from lab.topology.values import Name, Prefix, refuse


def _ipv4(value: Network) -> Network:
    if not isinstance(value, IPv4Network):
        refuse(f"{value} is no IPv4 prefix", "only IPv4 is translated, write one such as 203.0.113.0/29")
    return value


class Published(Part):
    """A host of the site that the Internet may call, at the Internet edge's own address."""

    host: Name = Field(description="The host.", examples=["mail"])
    port: int = Field(ge=1, le=65535, description="Its port, and that of the Internet edge.", examples=[25])
    protocol: Literal["tcp", "udp"] = Field(default="tcp", description="tcp or udp.")
    hide_source: bool = Field(
        default=True,
        description="The caller's address becomes the Internet edge's, so that answers go back through it "
        "and not by a circuit that leads to the caller.",
    )


def _key(value: str) -> str:
    if not 1 <= len(value) <= 128 or not all("!" <= sign <= "~" for sign in value):
        refuse(
            "a connection's key is 1-128 printable ASCII characters without blanks",
            "write one such as s3cretOfTheTunnel",
        )
    return value


SharedKey = Annotated[str, AfterValidator(_key), Field(examples=["s3cretOfTheTunnel"])]
"""What Azure takes as a connection's key: up to 128 printable ASCII characters."""


class Ike(Part):
    """IKEv2 with a pre-shared key, with the proposals and lifetimes of an Azure VPN gateway."""

    shared_key: SharedKey = Field(description="The connection's shared key, printable ASCII.")
    site_shared_key: SharedKey | None = Field(
        default=None, description="What the site's device has configured instead (to practise)."
    )


class InternetEdge(Part):
    """How the site's Internet edge translates addresses."""

    pool: Annotated[Prefix, AfterValidator(_ipv4)] | None = Field(
        default=None,
        description="Public addresses that translated flows take, led to this site by the Internet; the "
        "edge's own address when left out. With the pool of a circuit Microsoft answers by the circuit.",
        examples=["192.0.2.128/29"],
    )
    publish: list[Published] = Field(default_factory=list, description="Hosts that the Internet may call.")
