"""What Azure's VPN gateway offers, asks for and has room for. Data.

Source: azure-docs, "About VPN devices and IPsec/IKE parameters for Site-to-Site VPN Gateway connections",
tables of route-based gateways without a custom policy; "About active-active mode VPN gateways"; "Configure
IPv6 for VPN Gateway - Preview"; "About VPN Gateway SKUs". Algorithms stand in strongSwan's words: DH group 1
is modp768, 2 modp1024, 14 modp2048, 24 modp2048s256. DES with SHA1 (offer 7) is left out: strongSwan and
today's OpenSSL have no DES.
"""

from __future__ import annotations

from edge.model import IkeOffers

MAIN_MODE = (
    "aes256-sha1-modp1024",
    "aes256-sha256-modp1024",
    "aes128-sha1-modp1024",
    "aes128-sha256-modp1024",
    "3des-sha1-modp1024",
    "3des-sha256-modp1024",
)
"""IKE phase 1, in Azure's order: IKEv2, Diffie-Hellman group 2."""

QUICK_MODE = (
    "aes256gcm16",
    "aes256-sha1",
    "3des-sha1",
    "aes256-sha256",
    "aes128-sha1",
    "3des-sha256",
    "aes256-sha1-modp768",
    "aes256-sha1-modp1024",
    "aes256-sha1-modp2048",
    "aes128-sha1-modp768",
    "aes128-sha1-modp1024",
    "aes128-sha1-modp2048",
    "3des-sha1-modp768",
    "3des-sha1-modp1024",
    "3des-sha256-modp1024",
    "aes256-sha256-modp768",
    "aes256-sha256-modp1024",
    "aes256-sha256-modp2048",
    "aes256-sha1-modp2048s256",
    "aes256-sha256-modp2048s256",
    "aes128-sha256",
    "aes128-sha256-modp768",
    "aes128-sha256-modp1024",
    "aes128-sha256-modp2048",
    "3des-sha1-modp2048",
)
"""IKE phase 2, Azure as responder, in its order; as initiator it offers the first six."""

MAIN_MODE_LIFE_S, QUICK_MODE_LIFE_S = 28_800, 27_000
"""Lives of the IKE association and of a tunnel's keys."""

QUICK_MODE_LIFE_OCTETS = 102_400_000 * 1024

DEAD_PEER_S = 45
"""A gateway's default; 9 to 3,600 can be asked for (VPN Gateway FAQ)."""

AZURE = IkeOffers(
    MAIN_MODE, QUICK_MODE, MAIN_MODE_LIFE_S, QUICK_MODE_LIFE_S, QUICK_MODE_LIFE_OCTETS, DEAD_PEER_S
)
"""The gateway's end."""

DEVICE = IkeOffers(
    ("aes256-sha256-modp1024", "aes256-sha1-modp1024"),
    ("aes256gcm16", "aes256-sha256"),
    MAIN_MODE_LIFE_S,
    QUICK_MODE_LIFE_S,
    QUICK_MODE_LIFE_OCTETS,
    DEAD_PEER_S,
)
"""The site's end: the strongest that a gateway takes without a policy of its own."""

CONNECTIONS_MAX = 30
"""Site-to-site connections of VpnGw1-VpnGw3; VpnGw4 and VpnGw5 have room for 100."""

IPV4_ONLY = (
    "a VPN gateway beside an ExpressRoute gateway carries IPv4 only (azure-docs: "
    "expressroute-howto-add-ipv6-portal.md; IPv6 of VPN gateways alone is a preview that Microsoft enables)"
)
"""Why a tunnel has no IPv6."""
