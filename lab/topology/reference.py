"""The reference of the topology file, from its JSON Schema.

A page has a hand-written part, then MARKER, then one table for each object of the schema. The example of
each key is its value in EXAMPLE, one valid file that has every key. Pure but for `main`, which makes a page
anew: `python -m lab.topology.reference docs/topology.md`.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from edge.errors import EXIT_BAD_INPUT, EXIT_OK, EdgeError, UsageError

MARKER = "<!-- From here on generated: python -m lab.topology.reference docs/topology.md -->"

LONGEST_CHOICE = 12
"""Most values that a table names; a longer choice is a list of its own at the end."""

LONG_CHOICES: dict[str, str] = {"Location": "Peering locations", "Region": "Regions"}
"""Key (as the schema titles it) -> heading of its list of values."""

LONGEST_EXAMPLE = 90
"""Most characters of an example in a table; longer ones are told by their parts and by EXAMPLE itself."""

EXAMPLE = """\
name: every-key
strict: false                      # as when left out
core: auto                         # as when left out

ports:
  pair1:
    location: London
    bandwidth: 10G
    encapsulation: qinq
    billing: unlimited
    links:
      primary:
        admin_state: enabled
        macsec: {ckn: pair1-ckn, cak: pair1-cak, cipher: GcmAes128}
        edge_macsec: {ckn: pair1-ckn, cak: old-cak}
      secondary: {admin_state: disabled}

secrets:
  pair1-ckn: "1000"
  pair1-cak: 00112233445566778899aabbccddeeff
  old-cak: ffeeddccbbaa99887766554433221100

circuits:
  ams:
    model: cloud-exchange
    managed: layer2
    provider: Equinix
    location: Amsterdam
    metro: true
    sku: {tier: premium, family: metered}
    bandwidth: 200M
    handoff: {encapsulation: qinq, s_tag: 3, outer_ethertype: "0x88a8"}
    peerings:
      private:
        vlan: 100
        peer_asn: 65010
        subnet: 192.168.15.0/29
        ipv6: {subnet: "fd00:15::/125"}
        shared_key: s3cret
        bfd: true
        timers: {keepalive: 10, hold: 30}
      microsoft:
        vlan: 200
        peer_asn: 64496
        subnet: [198.51.100.0/30, 198.51.100.4/30]
        ipv6: {subnet: ["2001:db8:15::/126", "2001:db8:15::4/126"]}
        shared_key: s3cret
        bfd: false
        timers: {keepalive: 60, hold: 180}
        advertised_public_prefixes: [203.0.113.0/28]
        nat: per-link
        route_filter: [teams, exchange, "12076:51002"]
    qos: {msee: remark, queues: true}
  plant:
    model: point-to-point
    provider: Colt
    location: London
    sku: {tier: standard}
    bandwidth: 50M
    fastpath_addresses: 100
    handoff: {evc_tags: [101, 102]}
    link_loss_forwarding: true
    peerings: {private: {vlan: 100, peer_asn: 65020, subnet: 172.16.0.0/29}}
  branch:
    managed: layer3
    customer_asn: 65001
    provider: Colt
    location: London
    sku: {tier: standard}
    bandwidth: 50M
    peerings: {private: {vlan: 100, peer_asn: 65030, subnet: 172.16.1.0/29}}
  wan:
    model: any-to-any
    provider: Colt
    location: London
    sku: {tier: standard}
    bandwidth: 50M
    peerings: {private: {vlan: 100, peer_asn: 65040, subnet: 172.16.2.0/29}}
  factory:
    model: direct
    port: pair1
    sku: {tier: standard}
    bandwidth: 2G
    rate_limit: true
    peerings: {private: {vlan: 100, peer_asn: 65050, subnet: 172.16.3.0/29}}

sites:
  hq:
    edges: [ce1, {name: ce2}]
    lan: [10.1.0.0/16, "fd00:1::/64"]
    hosts: {pc1: [10.1.0.10, "fd00:1::10"], pc2: 10.1.0.11}
    circuits: [ams]
    internet: true
    announce:
      - 10.9.0.0/16
      - {prefix: 10.64.0.0/10, count: 100, length: 28, circuits: [ams]}
    prepend: {ams: 2}
    internet_edge:
      pool: 192.0.2.128/29
      publish: [{host: pc2, port: 25, protocol: tcp, hide_source: true}]
    firewall: true
    overrides:
      - {edge: ce1, circuit: ams, peering: private, connection: primary, shared_key: wr0ng}
      - {edge: ce2, circuit: ams, peering: microsoft, vlan: 201, s_tag: 4, peer_asn: 64497, bfd: false}
      - {edge: ce1, circuit: ams, peering: private, local_preference: 200}
    qos: {policy: teams, shares: {voice: 40, default: 10}}
  plant: {edges: [ce3], lan: 10.2.0.0/24, circuits: [plant]}
  branch:
    edges: [{name: ce4, router: frr, config: {file: ce4.frr.conf, text: "router bgp 65001"}}]
    lan: 10.3.0.0/24
    circuits: [branch]
  berlin: {edges: [ce5], lan: 10.4.0.0/24, circuits: [wan], provider_edges: [pe-berlin]}
  paris: {edges: [ce6, ce7], lan: 10.5.0.0/24, circuits: [wan]}
  factory: {edges: [ce8], lan: 10.6.0.0/24, circuits: [factory]}

vnets:
  hub:
    region: westeurope
    address_space: [10.50.0.0/16, "fd00:50::/48"]
    gateway: ErGw3AZ
    oversize: silent
    gateway_subnet: [10.50.255.0/26, "fd00:50:0:ffff::/64"]
    connections:
      - {circuit: ams, weight: 100, fastpath: true}
    vpn:
      - {site: hq, ike: {shared_key: s3cretOfTheTunnel, site_shared_key: wr0ng}, announce: [10.1.0.0/17]}
      - {site: plant, key: s3cretOfTheTunnel}
    vpn_active_active: true
    hosts: {vm1: [10.50.1.4, "fd00:50:0:1::4"]}

internet:
  hosts: {dns: 192.0.2.53, cdn: 192.0.2.80, crl: 192.0.2.84}
  names: true

links:
  ams-primary: {delay: 20ms, jitter: 2ms, loss: 0.5%, duplicate: 0.1%, reorder: 1%, rate: 50M, seed: 7}
  ams-secondary:
    - {towards: ce2, delay: 35ms}
    - {towards: equinix-amsterdam2, loss: 2%, by: ring}

faults:
  - {at: 5s, for: 3s, kind: loss, target: ams/primary, name: lossy, options: {part: 2%, seed: 7}}

checks:
  - {ping: [pc1, vm1], family: 6, count: 5}
  - {path: [pc1, vm1], via: ams, peering: private, hop: ce2, family: 4, protocol: icmp}
  - {path: [pc1, dns], via: internet, protocol: udp, port: 53}
  - {path: [pc1, teams], via: ams, dscp: {voice: 46, video: 34}}
  - {sessions: ams, peering: private, connection: primary, state: down}
  - {route: [ce2, 10.50.0.0/16], present: true, as_path: [12076], communities: []}
  - {route: [ce1, 52.112.0.0/14], communities: ["12076:5030"]}
  - {frame: ams-primary, tags: [3, 100], protocol: arp}
  - {name: [pc1, teams.microsoft.com], via: internet, family: 4, present: true}
  - {https: [pc1, "https://teams.microsoft.com"], via: ams, peering: microsoft, family: 4, revocation: true}
  - {sessions: ams, uptime: 10s}
  - {frame: ams-primary, tags: [3, 100], protocol: bgp, ethertypes: ["0x88a8", "0x8100"], dscp: 48}
  - {budget: [pc1, vm1], latency: 30ms, jitter: 15ms, loss: 0.1%}
  - {budget: [pc1, vm1], loss: 0%, packets: 50, pace: 20ms, class: voice, family: 4}
  - {flow: [pc1, teams], link: ams, class: voice, way: in, dscp: 46, family: 4}
  - {flow: [pc1, teams], link: ams, tags: [3, 200], ethertypes: ["0x88a8", "0x8100"]}
  - {never: [pc1, vm1], link: hq-inet-internet, class: default, family: 4}
  - {queue: [pc1, teams], link: ams-primary, class: voice, counted_in: voice, way: out, family: 4}
  - {throughput: [pc1, vm1], circuit: ams, at_least: 70%, at_most: 105%, way: out, seconds: 2, family: 4}
  - {outage: [pc1, vm1], fault: silent ams/primary, at_most: 1s}
  - routes: ce1
    circuit: ams
    peering: private
    family: 4
    exact: [{prefix: 10.50.0.0/16, as_path: [12076], next_hop: 192.168.15.2, communities: ["12076:51004"]}]
    contains: [10.50.0.0/16]
    lacks: [0.0.0.0/0]
  - {communities: [ce1, 52.112.0.0/14], exact: ["12076:5030"]}
  - {communities: [ce1, 52.112.0.0/14], contains: ["12076:5030"], lacks: ["12076:5010"]}
"""

Schema = dict[str, Any]
Examples = dict[tuple[str, str], object]
"""(object, key) -> a value that the key has in the example."""


def render(schema: Schema, document: dict[str, Any]) -> str:
    """The tables, as Markdown. `document` is a topology as plain data that gives the examples."""
    examples: Examples = {}
    _collect(schema, schema, document, examples)
    objects = dict.fromkeys(name for name, _ in _places(schema))
    choices: dict[str, list[str]] = {}
    sections = [_section(schema, name, examples, choices) for name in objects]
    for title, values in choices.items():
        sections.append(f"### {title}\n\n{', '.join(values)}\n")
    return "\n".join(sections)


def refresh(page: str, schema: Schema, document: dict[str, Any]) -> str:
    """The page with everything behind MARKER made anew. Raises ValueError when it has no MARKER."""
    head, marker, _ = page.partition(MARKER)
    if not marker:
        raise ValueError(f"the page has no line {MARKER}; write it where the reference shall begin")
    return f"{head}{MARKER}\n\n{_ALL_KEYS}{render(schema, document)}"


_ALL_KEYS = f"""\
## A file that has every key

```yaml
{EXAMPLE}```

## Every key

A key without a default must be there. *none* means that leaving the key out differs from every value.
Unknown keys are refused. "X or list of X": a list of one may be written as its element, `lan: 10.1.0.0/16`.

"""


def missing_examples(schema: Schema, document: dict[str, Any]) -> list[str]:
    """Keys (`Object.key`) for which the document has no value."""
    examples: Examples = {}
    _collect(schema, schema, document, examples)
    names = dict.fromkeys(name for name, _ in _places(schema))
    return [
        f"{name}.{key}"
        for name in names
        for key in _object(schema, name)["properties"]
        if (name, key) not in examples
    ]


def _object(schema: Schema, name: str) -> Schema:
    found: Schema = schema if name == "Topology" else schema["$defs"][name]
    return found


def _name(part: Schema) -> str:
    """The name of the object that a part of the schema refers to, or nothing."""
    return str(part.get("$ref", "")).rpartition("/")[2]


def _options(part: Schema) -> tuple[Schema, ...]:
    return (*part.get("anyOf", ()), *part.get("oneOf", ()))


def _inner(part: Schema) -> Iterator[tuple[str, Schema]]:
    """What a value may hold: (how it is written behind the key, the schema of that)."""
    for option in _options(part):
        yield from _inner(option)
    if "$ref" in part:
        yield "", part
    for value in part.get("patternProperties", {}).values():
        for written, inner in _inner(value):
            yield f".NAME{written}", inner
    if isinstance(part.get("items"), dict):
        for written, inner in _inner(part["items"]):
            yield f"[]{written}", inner


def _places(schema: Schema, name: str = "Topology", at: str = "") -> Iterator[tuple[str, str]]:
    """Every object with its place in a file (`circuits.NAME.sku`), from the top down, in the file's order."""
    yield name, at
    for key, part in _object(schema, name)["properties"].items():
        for written, inner in _inner(part):
            yield from _places(schema, _name(inner), f"{at}.{key}{written}".lstrip("."))


def _collect(schema: Schema, part: Schema, value: object, found: Examples) -> None:
    """Note the values of all keys at and below `value`; of several the first one that says something."""
    if "$ref" in part:
        _collect(schema, _object(schema, _name(part)), value, found)
    elif isinstance(value, dict) and "properties" in part:
        name = "Topology" if part is schema else part["title"]
        for key, inner in part["properties"].items():
            if key in value:
                found[name, key] = found.get((name, key)) or value[key]
                _collect(schema, inner, value[key], found)
    elif isinstance(value, dict) and "patternProperties" in part:
        for inner in part["patternProperties"].values():
            for one in value.values():
                _collect(schema, inner, one, found)
    elif isinstance(value, list) and isinstance(part.get("items"), dict):
        for one in value:
            _collect(schema, part["items"], one, found)
    for option in _options(part):
        target = _object(schema, _name(option)) if "$ref" in option else option
        if not isinstance(value, dict) or set(target.get("required", ())) <= set(value):
            _collect(schema, option, value, found)


def _title(name: str) -> str:
    """`MicrosoftPeering` -> `Microsoft peering`, `PingCheckSpec` -> `Ping check`."""
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name.removesuffix("Spec"))
    return words[0] + words[1:].lower()


def _link(name: str) -> str:
    return f"[{_title(name)}](#{_title(name).lower().replace(' ', '-')})"


def _section(schema: Schema, name: str, examples: Examples, choices: dict[str, list[str]]) -> str:
    part = _object(schema, name)
    places = [f"`{at}`" for found, at in _places(schema) if found == name and at]
    lines = [
        f"### {_title(name)}\n",
        (f"At {', '.join(places)}. " if places else "") + part["description"] + "\n",
        "| key | type | default | meaning | example |",
        "|---|---|---|---|---|",
    ]
    for key, value in part["properties"].items():
        default = "" if key in part.get("required", ()) else _default(schema, value)
        example = _flow(examples[name, key]) if (name, key) in examples else ""
        shown = f"`{example}`" if 0 < len(example) <= LONGEST_EXAMPLE else ""
        kind = _type(value, choices)
        meaning = str(value["description"]).replace("|", "\\|")
        lines.append(f"| `{key}` | {kind} | {default} | {meaning} | {shown} |")
    return "\n".join(lines) + "\n"


def _default(schema: Schema, part: Schema) -> str:
    if part.get("default") is not None:
        return f"`{_flow(part['default'])}`"
    if "$ref" in part:
        return "made by the lab" if _object(schema, _name(part)).get("required") else "those of its keys"
    if "default" in part:
        return "*none*"
    return "`{}`" if part.get("type") == "object" else "`[]`"


def _type(part: Schema, choices: dict[str, list[str]]) -> str:
    """What may stand there, with its limits."""
    if "$ref" in part:
        return _link(_name(part))
    if "const" in part:
        return f"`{part['const']}`"
    if "enum" in part:
        values = [f"`{value}`" for value in part["enum"]]
        if len(values) <= LONGEST_CHOICE:
            return ", ".join(values)
        title = LONG_CHOICES.get(part["title"], str(part["title"]))
        choices[title] = values
        return f"one of [{title.lower()}](#{title.lower().replace(' ', '-')})"
    if "prefixItems" in part:
        return f"[{', '.join(_type(one, choices) for one in part['prefixItems'])}]"
    if "anyOf" in part or "oneOf" in part:
        options = [one for one in _options(part) if one.get("type") != "null"]
        named = {"title": part["title"]} if "title" in part else {}
        return " or ".join(dict.fromkeys(_type({**named, **one}, choices) for one in options))
    if part["type"] == "array":
        return f"list of {_type(part['items'], choices)}{_bounds(part, 'minItems', 'maxItems')}"
    if "patternProperties" in part:
        (value,) = part["patternProperties"].values()
        return f"name: {_type(value, choices)}"
    return f"{part['type']}{_bounds(part, 'minimum', 'maximum')}{_bounds(part, 'minLength', 'maxLength')}"


def _bounds(part: Schema, least: str, most: str) -> str:
    low, high = part.get(least), part.get(most)
    if low is None and high is None:
        return ""
    unit = " characters" if most == "maxLength" else ""
    if low is None:
        return f", at most {high}{unit}"
    return f", at least {low}{unit}" if high is None else f", {low}-{high}{unit}"


def _flow(value: object) -> str:
    """A value as YAML on one line."""
    if isinstance(value, dict):
        return f"{{{', '.join(f'{key}: {_flow(one)}' for key, one in value.items())}}}"
    if isinstance(value, list):
        return f"[{', '.join(map(_flow, value))}]"
    if isinstance(value, bool):
        return str(value).lower()
    text = str(value)
    return f'"{text}"' if isinstance(value, str) and (":" in text or not text) else text


def main(arguments: list[str]) -> int:
    """Make the reference in the page named on the command line anew; the exit status."""
    from lab.topology import json_schema, source

    try:
        if len(arguments) != 1:
            raise UsageError("name the page, for example docs/topology.md")
        page = Path(arguments[0])
        document = source.parse(EXAMPLE, "example").data
        page.write_text(refresh(page.read_text(encoding="utf-8"), json_schema(), document), encoding="utf-8")
    except (EdgeError, ValueError, OSError) as error:
        print(error, file=sys.stderr)
        return EXIT_BAD_INPUT
    return EXIT_OK


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
