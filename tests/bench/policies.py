"""The policies of benches and fuzzers: the twelve rules of facts (fastpath 2), and large ones. Pure."""

from __future__ import annotations

import random
from ipaddress import IPv4Network, IPv6Network, ip_network

from edge.model import Network
from edge.qos.model import DSCP_AF11, DSCP_AF21, DSCP_AF41, DSCP_EF, Policy, Rule
from edge.qos.names import PROTOCOL_BY_NAME

TCP, UDP = PROTOCOL_BY_NAME["tcp"], PROTOCOL_BY_NAME["udp"]
RELAYS = ip_network("52.112.0.0/14")

TWELVE = Policy(
    "twelve",
    (
        Rule("audio-source", "voice", DSCP_EF, (UDP,), source_ports=(50000, 50019)),
        Rule("audio-destination", "voice", DSCP_EF, (UDP,), destination_ports=(50000, 50019)),
        Rule("video-source", "video", DSCP_AF41, (UDP,), source_ports=(50020, 50039)),
        Rule("video-destination", "video", DSCP_AF41, (UDP,), destination_ports=(50020, 50039)),
        Rule("sharing-source", "sharing", DSCP_AF21, (UDP,), source_ports=(50040, 50059)),
        Rule("sharing-destination", "sharing", DSCP_AF21, (UDP,), destination_ports=(50040, 50059)),
        Rule("relay-audio", "voice", DSCP_EF, (UDP,), destination_ports=(3479, 3479)),
        Rule("relay-video", "video", DSCP_AF41, (UDP,), destination_ports=(3480, 3480)),
        Rule("relay-sharing", "sharing", DSCP_AF21, (UDP,), destination_ports=(3481, 3481)),
        Rule("signalling", "sharing", DSCP_AF21, (TCP,), destination_ports=(5060, 5061)),
        Rule("relay-any", "voice", DSCP_EF, (UDP,), destination_ports=(3478, 3478), destination=(RELAYS,)),
        Rule(
            "files",
            "files",
            DSCP_AF11,
            source=(ip_network("10.1.0.0/16"),),
            destination=(ip_network("10.20.0.0/16"),),
        ),
    ),
    unmatched_dscp=0,
)
"""Twelve rules; about three of four packets of the benches match one."""

_CLASSES = (("voice", DSCP_EF), ("video", DSCP_AF41), ("sharing", DSCP_AF21), ("files", DSCP_AF11))


def large(rules: int, seed: int = 4) -> Policy:
    """So many rules, the last twelve those of TWELVE; those before have prefixes, and most of them ports.

    The addresses are those of sites and services that the twelve do not name, as in a company's list.
    """
    chance = random.Random(seed)
    return Policy(
        f"{rules} rules",
        (*(_rule(chance, number) for number in range(rules - len(TWELVE.rules))), *TWELVE.rules),
        unmatched_dscp=0,
    )


def _rule(chance: random.Random, number: int) -> Rule:
    class_name, dscp = chance.choice(_CLASSES)
    first = chance.randrange(1024, 65000)
    ports = (first, first + chance.choice((0, 0, 1, 19, 199)))
    asks = chance.randrange(4)
    return Rule(
        f"site-{number}",
        class_name,
        dscp,
        chance.choice(((UDP,), (TCP,), (TCP, UDP))),
        source_ports=ports if asks == 1 else None,
        destination_ports=ports if asks == 2 else None,
        source=_prefixes(chance, 10) if asks != 3 else (),
        destination=_prefixes(chance, 172) if asks != 1 else (),
    )


def _prefixes(chance: random.Random, first: int) -> tuple[Network, ...]:
    length = chance.choice((16, 20, 24, 24, 28, 32))
    low = chance.getrandbits(24) | 1 << 23
    four = IPv4Network((first << 24 | low >> (32 - length) << (32 - length), length))
    six = IPv6Network((0x20010DB8 << 96 | low << 72, 56))
    return (four, six) if chance.random() < 0.5 else (four,)
