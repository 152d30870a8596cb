"""What the file may say about port pairs of ExpressRoute Direct (facts 1.3, 12: expressRoutePorts)."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from lab.topology.part import Part
from lab.topology.values import LocationName


class LinkMacsec(Part):
    """MACsec on a link, by pre-shared keys in the key vault (`secrets`): names, not the keys (facts 9)."""

    ckn: str = Field(description="Secret that is the name of the key (CKN).", examples=["pair1-ckn"])
    cak: str = Field(
        description="Secret that is the key (CAK): 32 hexadecimal digits.", examples=["pair1-cak"]
    )
    cipher: Literal["GcmAes128"] = Field(
        default="GcmAes128", description="Cipher of the frames; the lab's key agreement has no other."
    )


class PortLink(Part):
    """One of the two links of a port pair."""

    admin_state: Literal["enabled", "disabled"] = Field(
        default="enabled", description="disabled: Microsoft's port is shut and the wire has no carrier."
    )
    macsec: LinkMacsec | None = Field(
        default=None, description="MACsec at Microsoft's port, and at the edge as well; none when left out."
    )
    edge_macsec: LinkMacsec | None = Field(
        default=None, description="What the edge has configured, where that is not what Microsoft's port has."
    )


class PortLinks(Part):
    """Both links of a port pair."""

    primary: PortLink = Field(default_factory=PortLink, description="The link to the first MSEE.")
    secondary: PortLink = Field(default_factory=PortLink, description="The link to the second MSEE.")


class PortPair(Part):
    """An ExpressRoute Direct port pair: two ports, one on each MSEE, wired to the site of its circuits."""

    location: LocationName = Field(description="Peering location, where the MSEEs stand.")
    bandwidth: Literal["10G", "100G", "400G"] = Field(
        description="Speed of each port; circuits may sum up to twice as much."
    )
    encapsulation: Literal["qinq", "dot1q"] = Field(
        default="qinq",
        description="qinq: each circuit has an S-tag. dot1q: C-tags alone, unique on the pair.",
    )
    billing: Literal["metered", "unlimited"] = Field(
        default="metered", description="Billing of outbound data."
    )
    links: PortLinks = Field(default_factory=PortLinks, description="Its two links.")
