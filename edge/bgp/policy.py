"""ImportPolicy and ExportPolicy as BIRD filters. Pure.

Every filter says which policy it realises, because operators read bird.conf. A filter depends on its
own session only, so that changing one never makes BIRD run another again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

from edge.model import Community, ExportPolicy, ImportPolicy, Network, Session

PRIVATE_ASNS = ((64512, 65534), (4200000000, 4294967294))
"""First and last private AS number of each range (RFC 6996)."""

_MAX_PREPEND = 64
_PER_LINE = 6
_SET = "net ~ ["


def protocol_name(session: Session) -> str:
    """BIRD's name of a session, `<group>_<name>`: filters select a group by the part before `_`."""
    return f"{session.group}_{session.name}"


def originated_name(family: int) -> str:
    """BIRD's name of the protocol that holds a VRF's own prefixes of one family."""
    return f"originated{family}"


def import_name(session: Session) -> str:
    """BIRD's name of the filter that realises the session's import policy."""
    return f"import_{protocol_name(session)}"


def export_name(session: Session) -> str:
    """BIRD's name of the filter that realises the session's export policy."""
    return f"export_{protocol_name(session)}"


def asn_set() -> str:
    """The private AS numbers as a BIRD set."""
    return "[" + ", ".join(f"{first}..{last}" for first, last in PRIVATE_ASNS) + "]"


def community_set(communities: Iterable[Community]) -> str:
    """Standard communities as a BIRD set, in order. Raises ValueError outside 16:16 bits (RFC 1997)."""
    return "[" + ", ".join(community(value) for value in sorted(set(communities))) + "]"


def community(value: Community) -> str:
    """One standard community as BIRD writes it. Raises ValueError outside 16:16 bits (RFC 1997)."""
    if not all(0 <= half <= 0xFFFF for half in value):
        raise ValueError(f"community {value[0]}:{value[1]} does not fit: each half is 0-65535 (RFC 1997)")
    return f"({value[0]},{value[1]})"


def prefix_set(networks: Iterable[Network]) -> str:
    """Networks, each with all longer prefixes inside it, as a BIRD set."""
    ordered = sorted(set(networks), key=lambda network: (network.network_address.packed, network.prefixlen))
    return "[" + ", ".join(f"{network}+" for network in ordered) + "]"


def exact_set(networks: Iterable[Network]) -> str:
    """Exactly these networks as a BIRD set, some to a line."""
    ordered = sorted(set(networks), key=lambda network: (network.network_address.packed, network.prefixlen))
    words = [str(network) for network in ordered]
    lines = [", ".join(words[start : start + _PER_LINE]) for start in range(0, len(words), _PER_LINE)]
    return "[" + ",\n    ".join(lines) + "]"


def import_filter(session: Session) -> str:
    """The filter of routes that the neighbour sends: what is refused, then what is changed."""
    return _filter(import_name(session), _import_steps(session.imports, session.family))


def export_filter(session: Session) -> str:
    """The filter of routes that the neighbour gets: whose routes, then what is changed.

    Raises ValueError for a group or number that cannot be written.
    """
    return _filter(export_name(session), _export_steps(session.exports, session.family, session.local_asn))


def _filter(name: str, steps: Sequence[str]) -> str:
    """A filter. One with sets of prefixes bears their digest, in a comparison that never holds.

    BIRD takes two filters for the same when their sets differ only in prefixes that share a node of its
    tries (seen with 2.0.12: 10.1.0.0/24 beside 10.1.0.0/24 and 10.1.0.0/25), and then leaves the routes as
    they are. No protocol has a name with an @.
    """
    if any(_SET in step for step in steps):
        digest = hashlib.sha256("\n".join(steps).encode()).hexdigest()[:12]
        steps = [
            "# Tells BIRD when the sets below have changed.",
            f'if proto = "@{digest}" then reject;',
            *steps,
        ]
    return "\n".join((f"filter {name} {{", *(f"  {step}" for step in steps), "}"))


def _import_steps(policy: ImportPolicy, family: int) -> list[str]:
    default = "0.0.0.0/0" if family == 4 else "::/0"
    steps: list[str] = []
    if policy.refuse_default:
        steps += ["# The default route is refused.", f"if net = {default} then reject;"]
    refused = [network for network in policy.refuse if network.version == family]
    if refused:
        steps += [
            "# Refused, and everything inside them.",
            f"if net ~ {prefix_set(refused)} then reject;",
        ]
    if policy.prefixes is not None:
        allowed = [network for network in policy.prefixes if network.version == family]
        if not allowed:
            return [*steps, f"# No IPv{family} prefix may be announced by this neighbour.", "reject;"]
        steps += [
            "# Only these prefixes, and longer ones inside them.",
            f"if !(net ~ {prefix_set(allowed)}) then reject;",
        ]
    if policy.ignore_communities:
        steps.append("# Communities of the neighbour are forgotten.")
        steps += [f"unset({name});" for name in ("bgp_community", "bgp_ext_community", "bgp_large_community")]
    if policy.strip_private_asns:
        steps += ["# Private AS numbers leave the path (RFC 6996).", f"bgp_path.delete({asn_set()});"]
    if policy.local_pref is not None:
        steps.append(f"bgp_local_pref = {policy.local_pref};")
    return [*steps, "accept;"]


def _of_group(group: str, networks: Sequence[Network] | None, family: int) -> str:
    """BIRD's condition for a route of a group, of some networks only where it has some."""
    condition = f'proto ~ "{group}_*"'
    if networks is None:
        return condition
    return f"({condition} && net ~ {exact_set(one for one in networks if one.version == family)})"


def _export_steps(policy: ExportPolicy, family: int, own_asn: int) -> list[str]:
    if not 0 <= policy.prepend <= _MAX_PREPEND:
        raise ValueError(f"prepend {policy.prepend} is outside 0-{_MAX_PREPEND}")
    own = f'proto = "{originated_name(family)}"'
    announced = own
    originated = policy.originated
    if policy.networks is not None:
        chosen = [network for network in policy.networks if network.version == family]
        originated = originated and bool(chosen)
        announced = f"({own} && net ~ {exact_set(chosen)})"
    groups = tuple(sorted(set(policy.groups)))
    if policy.communities is not None and not policy.communities:
        groups = ()
    within = dict(policy.within)
    learned_from = {
        group: _of_group(group, within.get(group), family)
        for group in groups
        if within.get(group) is None or any(network.version == family for network in within[group])
    }
    groups = tuple(learned_from)
    sources = ([announced] if originated else []) + list(learned_from.values())
    if not sources:
        return ["# Nothing is announced to this neighbour.", "reject;"]
    which = "own prefixes" if policy.networks is None else "chosen own prefixes"
    whose = ([which] if originated else []) + [
        f"{'chosen ' if group in within else ''}routes of group {group}" for group in groups
    ]
    steps = [f"# Announced: {', '.join(whose)}.", f"if !({' || '.join(sources)}) then reject;"]
    if groups and policy.communities:
        learned = f"{own.replace('=', '!=')} && " if originated else ""
        steps += [
            "# Route filter: a learned route needs one of these communities.",
            f"if {learned}!(bgp_community ~ {community_set(policy.communities)}) then reject;",
        ]
    if policy.empty_private_path:
        kept = [f'!(proto ~ "{group}_*") && ' for group in sorted(policy.keep_private) if group in groups]
        steps += [
            "# A path of private AS numbers alone is emptied; one with a public number stays.",
            f"if {''.join(kept)}delete(bgp_path, {asn_set()}).len = 0 then bgp_path.empty;",
        ]
    marked = [network for network in policy.attach_to if network.version == family]
    if policy.attach and marked:
        added = " ".join(f"bgp_community.add({community(value)});" for value in sorted(set(policy.attach)))
        steps += [
            "# Communities that these prefixes get.",
            f"if net ~ {exact_set(marked)} then {{ {added} }}",
        ]
    if policy.prepend:
        steps.append(f"# Our AS number {policy.prepend} more times: this path is the worse one.")
        steps += [f"bgp_path.prepend({own_asn});"] * policy.prepend
    return [*steps, "accept;"]
