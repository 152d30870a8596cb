"""Names of services: the table, what becomes of it, DNS messages, and the lab's certificate authority."""

from __future__ import annotations

import os
import shutil
import ssl
import struct
import subprocess
import time
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.errors import InputError
from lab.checks.https import Page, judge_page, pem_of_list, read_page
from lab.checks.names import judge_answer
from lab.checks.result import title
from lab.model import HttpsCheck, NameCheck
from lab.names import certificates, query, resolver, table, web
from lab.names.authority import Authority
from lab.names.objects import objects
from lab.names.plan import Names
from lab.service.services import FRONT_ENDS, resolve_filter_entry
from lab.topology import load, loads

ROOT = Path(__file__).parents[2]
GOLDEN = ROOT / "tests" / "golden" / "names"
GALLERY = ROOT / "lab" / "topologies"


@pytest.fixture(scope="module")
def names() -> Names:
    found = load(GALLERY / "names.edge.yml").names
    assert found is not None
    return found


def _expect(name: str, text: str) -> None:
    path = GOLDEN / name
    if os.environ.get("EDGELAB_UPDATE_GOLDEN"):
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")


def test_the_configurations_of_the_servers_and_of_the_authority(names: Names) -> None:
    _expect("dnsmasq.conf", resolver.render(names))
    _expect("nginx.conf", web.render(names))
    _expect("openssl.cnf", certificates.config("names", names.front_ends))


def test_every_name_stands_in_the_table_once_and_every_front_end_has_one() -> None:
    hosts = [*table.front_ends(names=True), *table.INTERNET]
    found = [name for end in table.front_ends(names=True) for name in table.names_of(end)]
    found += [name for end in table.INTERNET for name in end.names]
    assert len(found) == len(set(found))
    assert found == [name.lower() for name in found]
    assert len({host.name for host in hosts}) == len(hosts)
    assert {end.name for end in FRONT_ENDS} == set(table.MICROSOFT_365)


def test_every_front_end_lies_in_prefixes_that_are_announced_with_communities_a_filter_takes() -> None:
    announced = table.announced(names=True)
    for end in table.front_ends(names=True):
        for address in end.front_end:
            marks = [marks for prefix, marks in announced if address.ip in prefix]
            assert marks, end.name
    for place in table.MORE:
        for high, low in place.communities:
            assert resolve_filter_entry(f"{high}:{low}") == (high, low)
    # What stays on the Internet lies in no prefix that a Microsoft peering may bring.
    for text in table.INTERNET_HOSTS.values():
        assert not [prefix for prefix, _ in announced if IPv4Address(text) in prefix]


def test_names_are_asked_for_and_cost_nothing_else() -> None:
    plain = load(GALLERY / "contoso.edge.yml")
    assert plain.names is None
    assert [end.name for end in table.front_ends(names=False)] == [end.name for end in FRONT_ENDS]
    model = load(GALLERY / "names.edge.yml")
    assert model.names is not None
    assert [str(item) for item in objects(model.names)] == [
        "nameserver 192.0.2.53 and the lab's certificate authority for all nodes",
        "DNS server in dns",
        "web server of 9 front ends",
    ]


def test_storage_is_announced_with_its_region_and_its_service() -> None:
    model = load(GALLERY / "names.edge.yml")
    core = next(router for router in model.routers if router.name == "microsoft-core")
    marks = {str(one.network): one.communities for one in core.vrfs[0].originates}
    assert marks["20.60.26.0/23"] == ((12076, 51002), (12076, 52002))
    assert marks["52.112.0.0/14"] == ((12076, 5030),)


def test_a_name_leads_to_its_host_and_the_longest_wildcard_wins(names: Names) -> None:
    for host, wanted in (
        ("teams.microsoft.com", "teams"),
        ("Teams.Microsoft.COM.", "teams"),
        ("a.b.sharepoint.com", "sharepoint"),
        ("res.cdn.office.net", "cdn"),
        ("acme.database.windows.net", "sql"),
        ("login.windows.net", "login"),
        ("ocsp.digicert.com", "crl"),
    ):
        found = names.named(host)
        assert found is not None
        assert found.namespace == wanted
    assert names.named("sharepoint.com") is None
    assert names.named("notsharepoint.com") is None
    assert names.named("example.com") is None


def test_names_without_a_microsoft_peering_are_those_of_the_internet() -> None:
    text = (GALLERY / "one-edge.edge.yml").read_text() + "\ninternet: {names: true}\n"
    model = loads(text, "one.edge.yml")
    assert model.names is not None
    has_core = any(node.kind == "core" for node in model.nodes)
    reached = {end.reached for end in model.names.front_ends}
    assert reached == ({"microsoft", "internet"} if has_core else {"internet"})


@pytest.mark.parametrize(
    ("key", "words"),
    [
        (
            "internet: {names: true, hosts: {dns: 192.0.2.53}}",
            "names need the Internet's host cdn and crl; add hosts: {cdn: 192.0.2.80, crl: 192.0.2.84}",
        ),
        (
            "checks: [{https: [pc1, 'https://teams.microsoft.com']}]",
            "this lab has no names; write internet: {names: true}",
        ),
        (
            "internet: {names: true}\nchecks: [{https: [pc1, 'https://team.microsoft.com']}]",
            "there is no front end team.microsoft.com; did you mean teams.microsoft.com?",
        ),
        (
            "internet: {names: true}\nchecks: [{https: [pc1, 'http://teams.microsoft.com']}]",
            "is no URL of a front end; write one such as https://teams.microsoft.com",
        ),
        (
            "internet: {names: true}\nchecks: [{name: [pc1, teams microsoft]}]",
            "'teams microsoft' is no host name; write one such as teams.microsoft.com",
        ),
        (
            "internet: {names: true}\nchecks: [{https: [pc1, 'https://a.azurefd.net'], peering: private}]",
            "a peering is of a circuit; add via: with its name",
        ),
        (
            "internet: {names: true}\nchecks: [{name: [pc1, teams.microsoft.com], via: amz}]",
            "there is no circuit amz; did you mean ams?",
        ),
    ],
)
def test_mistakes_are_told_with_the_way_out(key: str, words: str) -> None:
    text = (GALLERY / "names.edge.yml").read_text().partition("internet:")[0] + key + "\n"
    with pytest.raises(InputError) as refused:
        loads(text, "bad.edge.yml")
    assert words in str(refused.value)


def test_names_of_a_lab_without_a_way_to_the_internet_are_refused_where_they_are_checked() -> None:
    text = (
        (GALLERY / "names.edge.yml")
        .read_text()
        .replace("circuits: [ams]", "circuits: [ams], internet: false")
    )
    text = text.replace("    circuits: [ams], internet: false", "    circuits: [ams]\n    internet: false")
    with pytest.raises(InputError, match="there is no way to the internet"):
        loads(text, "bad.edge.yml")


# What a server sent (dnsmasq 2.90): one question, a pointer to its name in the answer.
ANSWER = bytes.fromhex(
    "0007858000010001000000000574656d6173096d6963726f736f667403636f6d0000010001c00c000100010000003c00043470000b"
)


def test_an_answer_is_read_with_its_pointers() -> None:
    assert query.answer(ANSWER, 4, 7) == query.Answer(0, (IPv4Address("52.112.0.11"),))
    assert query.answer(ANSWER, 6, 7) == query.Answer(0, ())
    assert query.answer(ANSWER, 4, 8) is None
    assert query.answer(ANSWER[:40], 4, 7) is None
    refused = struct.pack("!6H", 7, 0x8183, 0, 0, 0, 0)
    said = query.answer(refused, 4, 7)
    assert said == query.Answer(3, ())
    assert said is not None
    assert said.words == "no such name"


def test_a_question_is_no_answer_and_an_ipv6_address_is_read() -> None:
    asked = query.question("teams.microsoft.com", 6, 9)
    assert query.answer(asked, 6, 9) is None
    assert asked.endswith(b"\x05teams\x09microsoft\x03com\0\0\x1c\0\x01")
    record = b"\xc0\x0c" + struct.pack("!HHIH", 28, 1, 60, 16) + IPv6Address("2603:1063::11").packed
    said = struct.pack("!6H", 9, 0x8180, 1, 1, 0, 0) + asked[12:] + record
    assert query.answer(said, 6, 9) == query.Answer(0, (IPv6Address("2603:1063::11"),))


@given(st.binary(max_size=80), st.sampled_from([4, 6]))
def test_no_octets_break_the_reader(message: bytes, version: int) -> None:
    for data in (message, ANSWER[:12] + message, ANSWER[:37] + message):
        found = query.answer(data, version, 7)
        assert found is None or all(one.version == version for one in found.addresses)


@pytest.mark.parametrize("name", ["", "a..b", "x" * 64 + ".com", "é.com", ".".join(["abcdefgh"] * 30)])
def test_what_is_no_host_name_is_not_asked_for(name: str) -> None:
    with pytest.raises(ValueError, match="is no host name"):
        query.question(name, 4, 1)


def test_a_name_check_says_what_it_saw() -> None:
    server = IPv4Address("192.0.2.53")
    check = NameCheck("pc1", "teams.microsoft.com", "internet")
    known = query.Answer(0, (IPv4Address("52.112.0.11"),))
    assert title(check) == "name pc1 -> teams.microsoft.com via internet"
    assert judge_answer(check, server, known).ok
    assert judge_answer(check, server, None).words.endswith("nameserver 192.0.2.53 does not answer")
    assert judge_answer(check, server, query.Answer(3, ())).words.endswith("no such name")
    assert judge_answer(check, server, query.Answer(0, ())).words.endswith("it has no IPv4 address")
    absent = NameCheck("pc1", "teams.microsoft.com", present=False)
    assert title(absent).endswith("absent")
    assert judge_answer(absent, server, query.Answer(3, ())).ok
    assert not judge_answer(absent, server, known).ok
    # Silence proves nothing.
    assert not judge_answer(absent, server, None).ok


def test_an_https_check_wants_the_right_front_end_and_a_good_answer(names: Names) -> None:
    check = HttpsCheck("pc1", "teams.microsoft.com", "ams", "microsoft", revocation=True)
    assert title(check) == "https pc1 -> teams.microsoft.com via ams/microsoft not revoked"
    page = read_page(b"HTTP/1.1 200 OK\r\nA: b\r\n\r\nfront end: teams\nclient: 203.0.113.1\n")
    assert (page.status, page.front_end, page.client) == (200, "teams", "203.0.113.1")
    at, wanted = IPv4Address("52.112.0.11"), names.named("teams.microsoft.com")
    good = judge_page(check, wanted, at, page, {})
    assert (good.ok, "sees 203.0.113.1; not revoked" in good.words) == (True, True)
    other = judge_page(check, wanted, at, Page(200, "cdn", "", b""), {})
    assert (other.ok, "cdn answers, expected teams" in other.words) == (False, True)
    assert "the answer is 502" in judge_page(check, wanted, at, Page(502, "", "", b""), {}).words
    with pytest.raises(ValueError, match="no HTTP response"):
        read_page(b"SSH-2.0-OpenSSH\r\n")


@pytest.fixture(scope="module")
def authority(names: Names, tmp_path_factory: pytest.TempPathFactory) -> Authority:
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    made = Authority(tmp_path_factory.mktemp("authority"), "names")
    made.issue(names.front_ends)
    return made


def described(path: Path) -> dict[str, object]:
    """A certificate as Python's ssl reads it."""
    return ssl._ssl._test_decode_cert(str(path))  # type: ignore[attr-defined]


def test_each_front_end_has_a_certificate_of_its_names_for_longer_than_any_lab(
    authority: Authority, names: Names
) -> None:
    for end in names.front_ends:
        found = described(authority.directory / web.certificate_file(end.namespace))
        assert found["subjectAltName"] == tuple(("DNS", name) for name in end.names)
        assert found["crlDistributionPoints"] == (table.CRL_URL,)
        left = ssl.cert_time_to_seconds(str(found["notAfter"])) - time.time()
        assert left > 9 * 365 * 86400
    serials = {
        str(described(authority.directory / web.certificate_file(e.namespace))["serialNumber"])
        for e in names.front_ends
    }
    assert len(serials) == len(names.front_ends)


def test_the_strictest_verification_holds_with_the_published_list(authority: Authority) -> None:
    published = authority.directory / "published.pem"
    published.write_text(pem_of_list((authority.directory / table.CRL_FILE).read_bytes()))
    for purpose in ("teams", "crl", "login"):
        done = subprocess.run(
            [
                *("openssl", "verify", "-x509_strict", "-purpose", "sslserver", "-crl_check", "-CAfile"),
                *(certificates.CA_CERTIFICATE, "-CRLfile", published.name, f"{purpose}.pem"),
            ],
            cwd=authority.directory,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr


def test_keys_are_the_owners_alone(authority: Authority) -> None:
    keys = list(authority.directory.glob("*.key"))
    assert len(keys) == 10
    assert {key.stat().st_mode & 0o777 for key in keys} == {0o600}


def test_an_authority_lasts_and_another_is_another(authority: Authority, tmp_path: Path) -> None:
    assert authority.certificate() == authority.certificate()
    assert Authority(tmp_path, "names").certificate() != authority.certificate()
