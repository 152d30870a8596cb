"""Circuits on ExpressRoute Direct: what they cannot have, their port pair, and where its cables end."""

from __future__ import annotations

from lab.service.resources import PATHS
from lab.topology.circuit_schema import Circuit, Handoff
from lab.topology.orders import edges_of
from lab.topology.rules.context import Context
from lab.topology.schema import Site
from lab.topology.source import DocumentPath
from lab.topology.suggest import hint_for


def check(context: Context) -> None:
    """Report what is wrong with circuits that are on Direct, or should be (facts 1.1, 1.3)."""
    for name, circuit in context.topology.circuits.items():
        path: DocumentPath = ("circuits", name)
        if circuit.model == "direct":
            _direct(context, path, circuit)
        else:
            _through_provider(context, path, circuit)
    _cables(context)
    check_macsec(context)


def _direct(context: Context, path: DocumentPath, circuit: Circuit) -> None:
    if circuit.port is None:
        _missing(context, path, "port")
    elif circuit.port is not None and circuit.port not in context.topology.ports:
        context.unknown((*path, "port"), "port pair", circuit.port, "ports")
    for key, wrong, hint in (
        ("provider", circuit.provider is not None, "write another model, or take the key out"),
        ("location", circuit.location is not None, "take the key out: it is where the port pair is"),
        ("managed", circuit.managed == "layer3", "take the key out: the customer speaks BGP"),
        ("handoff", circuit.handoff != Handoff(), "take the key out: tags are the port pair's"),
    ):
        if wrong:
            context.report((*path, key), "a circuit on ExpressRoute Direct has no such thing", hint)


def _through_provider(context: Context, path: DocumentPath, circuit: Circuit) -> None:
    if circuit.port is not None:
        context.report(
            (*path, "port"), "only circuits of model direct are on a port pair", "write model: direct"
        )
    for key in ("provider", "location"):
        if getattr(circuit, key) is None:
            _missing(context, path, key)


def _missing(context: Context, path: DocumentPath, key: str) -> None:
    """A key that the model asks for; an unknown key beside it, which may be meant for it, says enough."""
    fields = Circuit.model_fields
    if any(one[:2] == path and len(one) == 3 and one[2] not in fields for one in context.cut):
        return
    hint = f"add `{key}`: {(fields[key].description or '').partition(';')[0].rstrip('.')}"
    context.problems.append(context.source.problem((*path, key), "is missing", hint))


def _cables(context: Context) -> None:
    """A port pair has two cables, which end at the same edges for all its circuits."""
    ends: dict[str, tuple[str, tuple[str, str]]] = {}
    for site_name, site in context.topology.sites.items():
        for number, name in enumerate(site.circuits):
            circuit = context.topology.circuits.get(name)
            if circuit is None or circuit.model != "direct" or circuit.port is None or not _wired(site):
                continue
            edges = edges_of(site, name)
            first, known = ends.setdefault(circuit.port, (name, edges))
            if known != edges:
                context.report(
                    ("sites", site_name, "circuits", number),
                    f"port pair {circuit.port} of circuit {name} is wired to {_words(known)} for circuit "
                    f"{first}, and would be to {_words(edges)}",
                    "let its circuits end at the same edges, or order a second port pair",
                )


def _wired(site: Site) -> bool:
    return bool(site.edges) and (len(site.edges) <= 2 or len(site.edges) == 2 * len(site.circuits))


def _words(edges: tuple[str, str]) -> str:
    return " and ".join(dict.fromkeys(edges))


CAK_DIGITS = {"GcmAes128": 32}
"""Hexadecimal digits of a CAK by cipher (facts 9; IEEE 802.1X)."""


def check_macsec(context: Context) -> None:
    """Report MACsec whose secrets are not in the key vault, or do not fit; of a file and of a State."""
    for name, pair in context.topology.ports.items():
        for link in PATHS:
            spec = getattr(pair.links, link)
            for key in ("macsec", "edge_macsec"):
                found = getattr(spec, key)
                if found is not None:
                    _secrets(context, ("ports", name, "links", link, key), found.ckn, found.cak, found.cipher)
    for name, ordered in context.state.ports.items():
        for one in ordered.links:
            spec = (
                getattr(context.topology.ports[name].links, one.path)
                if name in context.topology.ports
                else None
            )
            known = spec.macsec if spec is not None else None
            macsec = one.macsec
            if macsec is None or (known is not None and (known.ckn, known.cak) == (macsec.ckn, macsec.cak)):
                continue
            _secrets(context, ("ports", name), macsec.ckn, macsec.cak, macsec.cipher)


def _secrets(context: Context, path: DocumentPath, ckn: str, cak: str, cipher: str) -> None:
    vault = context.topology.secrets
    if cipher not in CAK_DIGITS:
        words = f"this lab has no cipher {cipher}: its key agreement knows {' and '.join(CAK_DIGITS)}"
        context.report(path, words, "use one of them")
        return
    for secret in (ckn, cak):
        if secret not in vault and not context.is_cut("secrets"):
            words = f"there is no secret {secret} in the key vault of this lab"
            context.report(path, words, hint_for(secret, vault) or "write it under `secrets:`")
    digits = CAK_DIGITS[cipher]
    if cak in vault and len(vault[cak]) != digits:
        words = f"secret {cak} has {len(vault[cak])} digits, and the key of {cipher} has {digits}"
        context.report(path, words, "write another key, or another cipher")
