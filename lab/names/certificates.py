"""What a lab's certificate authority is told, and which files it keeps. Pure.

The authority is openssl's program, of version 3 or later, where `req -x509` signs with another's key.
"""

from __future__ import annotations

import binascii
from collections.abc import Iterable

from lab.names.plan import FrontEnd
from lab.names.table import CRL_URL
from lab.names.web import certificate_file, key_file

CA_CERTIFICATE, CA_KEY = "ca.pem", "ca.key"
CRL_PEM = "revoked.pem"
CONFIG, DATABASE, CRL_NUMBER = "openssl.cnf", "index.txt", "crlnumber"

DAYS = 3650
"""How long everything is valid: longer than any lab runs, since nobody renews it."""

_NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-noenc")

_COMMON_NAME_MAX = 64
"""RFC 5280 A.1, ub-common-name."""


def config(lab: str, front_ends: Iterable[FrontEnd]) -> str:
    """openssl's configuration: the authority, and one section of extensions for each front end."""
    lines = [
        "# Made by edgelab; changes are lost.",
        "[req]",
        "distinguished_name = authority_name",
        "prompt = no",
        "default_md = sha256",
        "[authority_name]",
        "O = edgelab",
        f"CN = Certificate authority of lab {lab}",
        "[authority]",
        "basicConstraints = critical, CA:TRUE, pathlen:0",
        "keyUsage = critical, keyCertSign, cRLSign",
        "subjectKeyIdentifier = hash",
        "[ca]",
        "default_ca = revocation",
        "[revocation]",
        f"database = {DATABASE}",
        f"crlnumber = {CRL_NUMBER}",
        "default_md = sha256",
        f"default_crl_days = {DAYS}",
        "crl_extensions = list",
        "[list]",
        "authorityKeyIdentifier = keyid",
    ]
    for end in front_ends:
        lines += [
            f"[{section(end)}]",
            "basicConstraints = critical, CA:FALSE",
            "keyUsage = critical, digitalSignature",
            "extendedKeyUsage = serverAuth",
            "subjectKeyIdentifier = hash",
            "authorityKeyIdentifier = keyid",
            f"crlDistributionPoints = URI:{CRL_URL}",
            f"subjectAltName = {', '.join(f'DNS:{name}' for name in end.names)}",
        ]
    return "".join(f"{line}\n" for line in lines)


def section(front_end: FrontEnd) -> str:
    """The section of a front end's extensions."""
    return f"front_end_{front_end.namespace}"


def authority_arguments() -> tuple[str, ...]:
    """openssl's words that make the authority's key and certificate."""
    files = ("-keyout", CA_KEY, "-out", CA_CERTIFICATE)
    return (
        "req",
        "-x509",
        *_NEW_KEY,
        "-days",
        str(DAYS),
        "-config",
        CONFIG,
        "-extensions",
        "authority",
        *files,
    )


def certificate_arguments(front_end: FrontEnd) -> tuple[str, ...]:
    """openssl's words that make a front end's key and its certificate, signed by the authority."""
    name = next((one for one in front_end.names if len(one) <= _COMMON_NAME_MAX), front_end.namespace)
    return (
        *("req", "-x509", *_NEW_KEY, "-days", str(DAYS), "-config", CONFIG),
        *("-CA", CA_CERTIFICATE, "-CAkey", CA_KEY, "-extensions", section(front_end), "-subj", f"/CN={name}"),
        *("-keyout", key_file(front_end.namespace), "-out", certificate_file(front_end.namespace)),
    )


def list_arguments() -> tuple[str, ...]:
    """openssl's words that make the list of revoked certificates, an empty one at first."""
    return ("ca", "-gencrl", "-config", CONFIG, "-cert", CA_CERTIFICATE, "-keyfile", CA_KEY, "-out", CRL_PEM)


def der(pem: str) -> bytes:
    """The octets between the lines of a PEM text (RFC 7468). Raises ValueError when there are none."""
    lines = [line for line in pem.splitlines() if line and not line.startswith("-----")]
    if not lines:
        raise ValueError("no PEM text")
    return binascii.a2b_base64("".join(lines))
