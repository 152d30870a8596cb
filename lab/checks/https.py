"""Checks of a front end: its name resolves, it answers HTTPS, its certificate is good, and by which way."""

from __future__ import annotations

import re
import socket
import ssl
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from edge.errors import EdgeError
from edge.model import Address
from lab.access import LabAccess
from lab.checks.names import ASK_S, names_of, resolve
from lab.checks.reach import TRACE_S, judge_path
from lab.checks.result import Verdict
from lab.hops import explain_path
from lab.lookup import source_namespace
from lab.model import HttpsCheck, PathCheck
from lab.names.web import HTTP, HTTPS
from lab.trace import trace

CONNECT_S = 1.5
"""Longest wait for a connection, or for what comes over it, seconds."""

_PAGE_MAX = 1 << 20


@dataclass(frozen=True, slots=True)
class Page:
    """What a front end said: its own name, and the address from which it saw the question come."""

    status: int
    front_end: str
    client: str
    body: bytes


class _FailedError(EdgeError):
    """A step of the look did not succeed; the words say which."""


def look_at_https(access: LabAccess, check: HttpsCheck, seconds: float) -> Verdict:
    """Fetch the page once and follow its way. Raises UsageError for unknown names."""
    look = _Look(access, check, time.monotonic() + max(seconds, 0.1))
    evidence: dict[str, Any] = {"host": check.host}
    where = f"https {check.source} -> {check.host}"
    try:
        address, page = look.fetch(evidence)
    except _FailedError as error:
        return Verdict(False, f"{where}: {error}", evidence)
    verdict = judge_page(check, names_of(access.model).named(check.host), address, page, evidence)
    if not verdict.ok or not check.via:
        return verdict
    path = trace(access, look.namespace, address, protocol="udp", port=HTTPS, deadline_s=look.left(TRACE_S))
    asked = PathCheck(check.source, check.host, check.via, check.peering)
    way = judge_path(asked, path, explain_path(access.model, path, look.namespace))
    return Verdict(way.ok, f"{verdict.words}; {way.words}", {**evidence, **way.evidence})


def judge_page(
    check: HttpsCheck, wanted: Any, address: Address, page: Page, evidence: dict[str, Any]
) -> Verdict:
    """Whether the right front end answered, and well. Pure."""
    where = f"https {check.source} -> {check.host} ({address})"
    if page.status != 200:
        return Verdict(False, f"{where}: the answer is {page.status}", evidence)
    expected = wanted.namespace if wanted is not None else page.front_end
    if page.front_end != expected:
        return Verdict(False, f"{where}: {page.front_end} answers, expected {expected}", evidence)
    listed = "; not revoked" if check.revocation else ""
    return Verdict(True, f"{where}: front end {page.front_end} sees {page.client}{listed}", evidence)


def read_page(raw: bytes) -> Page:
    """An HTTP response (RFC 9112) of a front end. Raises ValueError when it is none. Pure."""
    head, _, body = raw.partition(b"\r\n\r\n")
    status = re.match(rb"HTTP/1\.[01] (\d{3}) ", head)
    if status is None:
        raise ValueError("what came is no HTTP response")
    said = dict(line.partition(": ")[::2] for line in body.decode(errors="replace").splitlines())
    return Page(int(status[1]), said.get("front end", ""), said.get("client", ""), body)


def pem_of_list(octets: bytes) -> str:
    """A revocation list (DER) as OpenSSL reads it from a file. Pure."""
    text = ssl.DER_cert_to_PEM_cert(octets)
    return text.replace("CERTIFICATE-----", "X509 CRL-----")


class _Look:
    """One look from one node, done by `end` (monotonic seconds)."""

    def __init__(self, access: LabAccess, check: HttpsCheck, end: float) -> None:
        self.access = access
        self.check = check
        self.end = end
        self.namespace = source_namespace(access.model, check.source)
        self.server = names_of(access.model).address

    def left(self, most: float) -> float:
        """Seconds that a step may take."""
        return max(0.1, min(most, self.end - time.monotonic()))

    def fetch(self, evidence: dict[str, Any]) -> tuple[Address, Page]:
        """The page over TLS, and where it was; fills the evidence. Raises _FailedError."""
        address = self._address(self.check.host)
        evidence["address"] = str(address)
        context = ssl.create_default_context(cadata=self.access.authority())
        if self.check.revocation:
            self._learn_revocations(context, address, evidence)
        page = self._get(self.check.host, address, HTTPS, "/", context)
        evidence |= {"front_end": page.front_end, "client": page.client, "status": page.status}
        return address, page

    def _address(self, host: str) -> Address:
        said = resolve(self.access, self.namespace, self.server, host, self.check.family, self.left(ASK_S))
        if said is None:
            raise _FailedError(f"cannot resolve {host}: nameserver {self.server} does not answer")
        if not said.addresses:
            words = said.words if said.rcode else f"it has no IPv{self.check.family} address"
            raise _FailedError(f"cannot resolve {host}: {words}")
        return said.addresses[0]

    def _learn_revocations(self, context: ssl.SSLContext, address: Address, evidence: dict[str, Any]) -> None:
        """Fetch the list that the certificate names, and have the next connection mind it."""
        with self._secured(context, self.check.host, address) as opened:
            certificate = opened.getpeercert() or {}
        places = certificate.get("crlDistributionPoints", ())
        if not places:
            raise _FailedError("its certificate names no revocation list")
        place = urlsplit(str(places[0]))
        evidence["revocation_list"] = place.geturl()
        try:
            page = self._get(str(place.hostname), self._address(str(place.hostname)), HTTP, place.path, None)
        except _FailedError as error:
            raise _FailedError(f"cannot fetch the revocation list {place.geturl()}: {error}") from error
        if page.status != 200:
            raise _FailedError(f"the revocation list {place.geturl()} is not there: {page.status}")
        with tempfile.NamedTemporaryFile("w", suffix=".pem") as file:
            file.write(pem_of_list(page.body))
            file.flush()
            context.load_verify_locations(cafile=file.name)
        context.verify_flags |= ssl.VERIFY_CRL_CHECK_LEAF

    def _get(self, host: str, address: Address, port: int, path: str, context: ssl.SSLContext | None) -> Page:
        asked = f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode()
        opened = self._secured(context, host, address) if context else self._connected(address, port)
        with opened:
            try:
                opened.sendall(asked)
                raw = b""
                while len(raw) < _PAGE_MAX and (more := opened.recv(1 << 16)):
                    raw += more
                return read_page(raw)
            except (OSError, ValueError) as error:
                raise _FailedError(f"{address} port {port}: {error}") from error

    def _secured(self, context: ssl.SSLContext, host: str, address: Address) -> ssl.SSLSocket:
        opened = self._connected(address, HTTPS)
        try:
            return context.wrap_socket(opened, server_hostname=host)
        except ssl.SSLCertVerificationError as error:
            opened.close()
            raise _FailedError(f"the certificate of {address} is refused: {error.verify_message}") from error
        except OSError as error:
            opened.close()
            raise _FailedError(f"no TLS with {address}: {error}") from error

    def _connected(self, address: Address, port: int) -> socket.socket:
        family = socket.AF_INET if address.version == 4 else socket.AF_INET6
        opened = self.access.socket(self.namespace, family, socket.SOCK_STREAM, 0)
        opened.settimeout(self.left(CONNECT_S))
        try:
            opened.connect((str(address), port))
        except OSError as error:
            with suppress(OSError):
                opened.close()
            raise _FailedError(f"no connection to {address} port {port}: {error}") from error
        return opened
