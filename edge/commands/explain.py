"""`edge explain`: which rule takes a packet, why no other, and what the service does with it."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from edge.commands.common import direction_option, format_option, peering_option, policy_option
from edge.errors import EXIT_OK, UsageError

if TYPE_CHECKING:
    from edge.qos.explain import Explanation, Link

EPILOG = """\b
Examples:
  edge explain 'udp 10.1.0.10:50005 > 52.112.0.10:3479'
  edge explain 'udp [2001:db8::1]:6000 > [2603:1063::1]:3480 dscp CS3 vlan 100' --policy my.yml
  edge explain --hex '45b8 0023 ...' --policy teams --direction in
  tcpdump -xx -c 1 udp | edge explain --hex -
  edge explain --pcap call.pcapng -n 5 --policy skype-server --peering private --format json

\b
PACKET: PROTOCOL SOURCE > DESTINATION [dscp N] [ecn N] [stag VID] [vlan VID] [fragment first|later]
        [payload stun|rtp|HEX]; an end is ADDRESS:PORT or [IPV6]:PORT, without a port for icmp and others.
        In quotes, or the shell takes > for itself.

\b
OCTETS: bare, or a dump of tcpdump (-x, -xx, -X, -XX), Wireshark, xxd or hexdump -C, of which the first
        packet is read. It begins with Ethernet or, as with tcpdump -x, with IP.
"""

DEFAULT_POLICY = "teams"


@click.command("explain", epilog=EPILOG)
@click.argument("packet_words", metavar="[PACKET]", nargs=-1)
@click.option(
    "--hex", "hex_text", metavar="OCTETS|-", help="The packet in hexadecimal, - for standard input."
)
@click.option(
    "--pcap",
    "capture",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Packets of a capture (pcap or pcapng).",
)
@click.option(
    "-n",
    "--number",
    "count",
    type=click.IntRange(1, 1000),
    default=1,
    show_default=True,
    help="How many packets of the capture of --pcap.",
)
@policy_option(required=False, default=DEFAULT_POLICY)
@direction_option
@peering_option
@format_option
@click.pass_context
def explain_command(
    ctx: click.Context,
    packet_words: tuple[str, ...],
    hex_text: str | None,
    capture: Path | None,
    count: int,
    policy_name: str,
    direction: str,
    peering: str,
    output: str,
) -> int:
    """Say what a policy does with a packet: rule, class, DSCP, queue, the MSEE, and why no other rule.

    The packet is given in words, in hexadecimal, or taken from a capture. The decision is that of the data
    path itself.
    """
    from edge.qos.explain import explain, fast_path
    from edge.qos.expressroute import TREATMENT
    from edge.qos.policyfile import find

    packet = " ".join(packet_words) if packet_words else None
    if sum(given is not None for given in (packet, hex_text, capture)) != 1:
        raise UsageError(
            "give one packet: in words, or with --hex, or with --pcap FILE; see edge explain --help"
        )
    if capture is None and ctx.get_parameter_source("count") is ParameterSource.COMMANDLINE:
        raise UsageError("-n counts packets of a capture; give --pcap FILE with it, or leave it out")
    policy = find(policy_name)
    treatment = TREATMENT[peering]  # type: ignore[index]
    explanations = []
    cores = {}
    for octets, link in _packets(packet, hex_text, capture, count):
        if link not in cores:
            cores[link] = fast_path(policy, direction, treatment, link)  # type: ignore[arg-type]
        explanations.append(
            explain(octets, policy, direction, peering, link, cores[link])  # type: ignore[arg-type]
        )
    chosen = ctx.get_parameter_source("policy_name") is not ParameterSource.DEFAULT
    _print(explanations, output, chosen)
    return EXIT_OK


def _packets(
    packet: str | None, hex_text: str | None, capture: Path | None, count: int
) -> Iterator[tuple[bytes, Link]]:
    """The packets asked for, and what each begins with."""
    if packet is not None:
        from edge.qos.packets import octets, parse

        yield octets(parse(packet)), "ethernet"
    elif hex_text is not None:
        from edge.qos.hexdump import begins_with_ip, parse_hex

        found = parse_hex(sys.stdin.read() if hex_text == "-" else hex_text)
        yield found, "ip" if begins_with_ip(found) else "ethernet"
    elif capture is not None:
        yield from _captured(capture, count)


def _captured(capture: Path, count: int) -> Iterator[tuple[bytes, Link]]:
    from edge.fastpath.capture import open_packets

    try:
        packets = list(islice(open_packets(str(capture)), count))
    except OSError as error:
        raise UsageError(
            f"{capture} cannot be read: {error.strerror}; check the name after --pcap"
        ) from error
    if not packets:
        raise UsageError(f"{capture} holds no packet; capture some")
    for one in packets:
        if one.kind == "other":
            raise UsageError(
                f"packet {one.number} of {capture} is neither Ethernet nor IP; capture on such an interface"
            )
        yield one.data, one.kind


def _print(explanations: list[Explanation], output: str, chosen: bool) -> None:
    from edge.qos.explainreport import tables, to_data

    if output == "json":
        document = {"version": 1, "packets": [to_data(one) for one in explanations]}
        click.echo(json.dumps(document, indent=2))
        return
    from edge.console import show

    for number, one in enumerate(explanations):
        if number:
            click.echo()
        show(*tables(one, chosen))
