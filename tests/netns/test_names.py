"""Names of services in a real lab: who resolves them, who answers, which way each goes, who is trusted."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest
from labs import CONTOSO, Labs, own_labs, until
from ordinary import USER, ordinary_labs
from test_lab_cli import assert_nothing_left, small

from lab.names.servers import PACKAGES
from tests.netns.forkserver import Server

NEEDED = ("dnsmasq", "nginx", "openssl", "curl", "tshark")

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(
        any(shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin") is None for name in NEEDED),
        reason=f"{', '.join(NEEDED)} are not all installed",
    ),
]

ROOT = Path(__file__).parents[2]
NAMES = CONTOSO.with_name("names.edge.yml")
POOL = ip_network("203.0.113.0/28")
TEAMS, EXCHANGE = "52.112.0.11", "40.96.0.11"
DNS, CDN, CRL = "192.0.2.53", "192.0.2.80", "192.0.2.84"
CIRCUIT = ("ams-primary", "ams-secondary")
INTERNET = "hq-inet-internet"


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory, fork_server: Server) -> Iterator[Labs]:
    """The gallery's lab of names, for all tests that leave it as they found it."""
    scratch = tmp_path_factory.mktemp("names")
    with own_labs(scratch, fork_server) as made:
        made.ok("deploy", "-t", str(NAMES))
        yield made


def page(labs: Labs, *command: str) -> dict[str, str]:
    """What a front end said to a curl in pc1."""
    text = labs.inside("names", "pc1", "curl", "-sS", "-m", "20", *command)
    return dict(line.split(": ", 1) for line in text.splitlines())


def refusal(labs: Labs, *command: str) -> int:
    """Exit status of a curl in pc1 that must not succeed."""
    done = labs.run("exec", "names", "pc1", "--", "curl", "-sS", "-m", "20", *command)
    assert done.returncode != 0, done.stdout
    return done.returncode


def daemon(labs: Labs, name: str) -> dict[str, int]:
    """What the lab says of one of its servers."""
    from lab.client import Client
    from lab.state import RunDirectory

    with Client(RunDirectory(labs.directory / "names")) as client:
        found: dict[str, int] = client.status()["daemons"].get(name, {})
    return found


@contextmanager
def captured(labs: Labs, *places: str) -> Iterator[dict[str, list[tuple[str, ...]]]]:
    """Place -> (VLAN id, IP destination, UDP port, TCP port, DNS name) of each frame, after the block."""
    files = {place: labs.scratch / f"{place}.pcapng" for place in places}
    writers = [
        labs.fork("capture", "names", place, "-w", str(file), stderr=subprocess.PIPE)
        for place, file in files.items()
    ]
    frames: dict[str, list[tuple[str, ...]]] = {}
    for file in files.values():
        until(file.exists, "the capture begins")
    try:
        yield frames
    finally:
        for writer in writers:
            writer.terminate()
        for writer in writers:
            writer.communicate(timeout=30)
        for place, file in files.items():
            frames[place] = read(file)
            file.unlink()


def read(file: Path) -> list[tuple[str, ...]]:
    fields = ("vlan.id", "ip.dst", "udp.dstport", "tcp.dstport", "dns.qry.name")
    done = subprocess.run(
        ["tshark", "-r", str(file), "-T", "fields", *(word for name in fields for word in ("-e", name))],
        capture_output=True,
        text=True,
        check=True,
    )
    return [tuple(line.split("\t")) for line in done.stdout.splitlines()]


SEND = """
import socket
opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for port in range(3478, 3482):
    opened.sendto(b"media", ("teams.microsoft.com", port))
"""


def test_scenario_48_teams_goes_by_expressroute_and_dns_crl_cdn_by_the_internet(lab: Labs) -> None:
    with captured(lab, *CIRCUIT, INTERNET) as frames:
        lab.inside("names", "pc1", "/usr/bin/python3", "-c", SEND)
        assert page(lab, "https://teams.microsoft.com")["front end"] == "teams"
        assert page(lab, "https://statics.teams.cdn.office.net")["front end"] == "cdn"
        revoked = lab.inside("names", "pc1", "curl", "-sS", "-I", "http://crl.edgelab.test/edgelab.crl")
        assert "application/pkix-crl" in revoked
    circuit = [frame for place in CIRCUIT for frame in frames[place]]
    media = {(vlan, udp) for vlan, target, udp, _, _ in circuit if target == TEAMS and udp}
    assert media == {("200", str(port)) for port in range(3478, 3482)}
    assert ("200", TEAMS, "443") in {(vlan, target, tcp) for vlan, target, _, tcp, _ in circuit}
    # Not one frame of the three that stay on the Internet, and no question of DNS, is on the circuit.
    assert {target for _, target, *_ in circuit} & {DNS, CDN, CRL} == set()
    assert {name for *_, name in circuit} == {""}
    internet = frames[INTERNET]
    asked = {(target, name) for _, target, udp, _, name in internet if udp == "53"}
    wanted = ("teams.microsoft.com", "statics.teams.cdn.office.net", "crl.edgelab.test")
    assert asked == {(DNS, name) for name in wanted}
    assert {(CDN, "443"), (CRL, "80")} <= {(target, tcp) for _, target, _, tcp, _ in internet}
    teams = ip_network("52.112.0.0/14")
    assert [target for _, target, *_ in internet if target and ip_address(target) in teams] == []


def test_the_front_end_tells_the_address_that_translation_gave_the_client(lab: Labs) -> None:
    by_circuit = page(lab, "https://teams.microsoft.com/calendar")
    assert (by_circuit["server"], by_circuit["name"], by_circuit["scheme"]) == (
        TEAMS,
        "teams.microsoft.com",
        "https",
    )
    assert ip_address(by_circuit["client"]) in POOL
    by_internet = page(lab, "https://contoso.sharepoint.com")
    assert by_internet["front end"] == "sharepoint"
    edge = lab.inside("names", "hq-inet", "ip", "-4", "-o", "addr", "show", "to", by_internet["client"])
    assert by_internet["client"] in edge


def test_programs_of_all_kinds_trust_the_lab_and_only_in_the_lab(lab: Labs) -> None:
    script = "import urllib.request as u; print(u.urlopen('https://outlook.office365.com').read().decode())"
    assert "front end: exchange" in lab.inside("names", "pc1", "/usr/bin/python3", "-c", script)
    inside = "ip netns exec pc1 curl -sS https://outlook.office365.com"
    assert "front end: exchange" in lab.ok("exec", "names", "ce1", "--", "sh", "-c", inside)
    # Without the authority nobody is trusted (60: the certificate cannot be verified).
    assert refusal(lab, "--cacert", "/etc/ssl/openssl.cnf", "https://teams.microsoft.com") != 0
    authority = (lab.directory / "names" / "names" / "ca.pem").read_text()
    bundle = Path("/etc/ssl/certs/ca-certificates.crt")
    assert not bundle.exists() or authority not in bundle.read_text()
    assert DNS not in Path("/etc/resolv.conf").read_text()


def test_a_certificate_of_another_name_is_refused(lab: Labs) -> None:
    elsewhere = ("--connect-to", f"teams.microsoft.com:443:{EXCHANGE}:443")
    assert refusal(lab, *elsewhere, "https://teams.microsoft.com") == 60
    said = lab.inside("names", "pc1", "curl", "-sSk", *elsewhere, "https://teams.microsoft.com")
    assert "front end: exchange" in said


def test_two_labs_have_authorities_of_their_own(lab: Labs, labs: Labs) -> None:
    other = {**small(), "name": "other", "internet": {"names": True}}
    labs.ok("deploy", "-t", str(labs.file(other)))
    theirs = labs.directory / "other" / "names" / "ca.pem"
    assert theirs.read_text() != (lab.directory / "names" / "names" / "ca.pem").read_text()
    alone = ("--capath", "/nonexistent", "--cacert", str(theirs))
    assert refusal(lab, *alone, "https://teams.microsoft.com") == 60
    # There it is trusted, and what only a Microsoft peering brings has no name.
    said = labs.inside("other", "pc1", "curl", "-sS", "https://res.cdn.office.net")
    assert "front end: cdn" in said
    assert labs.run("exec", "other", "pc1", "--", "getent", "hosts", "teams.microsoft.com").returncode == 2
    labs.ok("destroy", "other")
    assert not theirs.exists()


def test_without_a_route_filter_the_name_still_resolves_and_leads_to_the_internet(lab: Labs) -> None:
    lab.ok("filter", "detach", "ams")
    try:

        def by_internet() -> bool:
            return ip_address(page(lab, "https://teams.microsoft.com")["client"]) not in POOL

        until(by_internet, "Teams goes by the Internet")
        with captured(lab, *CIRCUIT, INTERNET) as frames:
            assert page(lab, "https://teams.microsoft.com")["front end"] == "teams"
        assert TEAMS in {target for _, target, *_ in frames[INTERNET]}
        assert TEAMS not in {target for place in CIRCUIT for _, target, *_ in frames[place]}
    finally:
        lab.ok("filter", "attach", "ams", "ams-filter")
    until(lambda: not by_internet(), "Teams goes by the circuit again")


def test_without_the_internet_teams_is_reached_but_has_no_name_and_no_revocation_list(lab: Labs) -> None:
    # A client that insists on the list, and does not take ours for it.
    client = f"openssl s_client -connect {TEAMS}:443 -servername teams.microsoft.com -verify_return_error "
    client += (
        "-verify_hostname teams.microsoft.com -x509_strict -crl_check -crl_download -brief </dev/null 2>&1"
    )
    assert "Verification: OK" in lab.inside("names", "pc1", "sh", "-c", client)
    try:
        lab.inside("names", "crl", "ip", "link", "set", "eth0", "down")
        page(lab, "https://teams.microsoft.com")
        words = failing(lab)["https pc1 -> teams.microsoft.com via ams/microsoft not revoked"]
        assert "cannot fetch the revocation list http://crl.edgelab.test/edgelab.crl" in words
        lab.inside("names", "internet", "ip", "link", "set", "hq-inet", "down")
        fixed = ("--resolve", f"teams.microsoft.com:443:{TEAMS}")
        assert page(lab, *fixed, "https://teams.microsoft.com")["front end"] == "teams"
        # 6: the host cannot be resolved.
        assert refusal(lab, "https://teams.microsoft.com") == 6
        assert "does not answer" in failing(lab)["name pc1 -> teams.microsoft.com via internet"]
    finally:
        lab.ok("deploy", "-t", str(NAMES))
    assert failing(lab) == {}


def failing(labs: Labs) -> dict[str, str]:
    """Title -> words of the checks that fail."""
    done = labs.run("check", "names", "--deadline", "4", "--format", "json")
    return {one["name"]: one["words"] for one in json.loads(done.stdout)["checks"] if not one["ok"]}


def test_servers_that_are_killed_come_back_whole(labs: Labs) -> None:
    labs.ok("deploy", "-t", str(NAMES))
    for name in ("names:resolver", "names:web"):
        pid = daemon(labs, name)["pid"]
        labs.ok("exec", "names", "ce1", "--", "kill", "-9", str(pid))
        until(lambda name=name: daemon(labs, name).get("restarts") == 1, "the server is started again")
        assert daemon(labs, name)["pid"] != pid
        assert page(labs, "https://teams.microsoft.com")["front end"] == "teams"
    # A master and a worker: what the dead one left has gone with it.
    running = labs.ok("exec", "names", "ce1", "--", "ps", "-e", "-o", "comm=").split()
    assert (running.count("nginx"), running.count("dnsmasq")) == (2, 1)
    assert labs.json("deploy", "-t", str(NAMES))["changed"] is False


def test_names_come_and_go_with_the_file_and_nothing_else_is_disturbed(labs: Labs) -> None:
    from lab.topology import load

    document = load(NAMES).document
    document["checks"] = []
    plain = labs.file({**document, "internet": {"hosts": document["internet"]["hosts"]}}, "plain.edge.yml")
    named = labs.file(document, "named.edge.yml")
    labs.ok("deploy", "-t", str(plain))
    ours = labs.inside("names", "pc1", "cat", "/etc/resolv.conf")
    assert DNS not in ours
    labs.ok("deploy", "-t", str(named))
    assert DNS in labs.inside("names", "pc1", "cat", "/etc/resolv.conf")
    assert page(labs, "https://login.microsoftonline.com")["front end"] == "login"
    more = dict(document)
    more["circuits"]["ams"]["peerings"]["microsoft"]["route_filter"].append("sharepoint")
    labs.ok("deploy", "-t", str(labs.file(more, "more.edge.yml")))
    until(
        lambda: ip_address(page(labs, "https://contoso.sharepoint.com")["client"]) in POOL,
        "SharePoint goes by the circuit",
    )
    labs.ok("deploy", "-t", str(plain))
    assert labs.inside("names", "pc1", "cat", "/etc/resolv.conf") == ours
    assert "ok" in labs.inside("names", "pc1", "sh", "-c", "test ! -e /etc/ssl/certs/edgelab.pem && echo ok")
    running = labs.ok("exec", "names", "ce1", "--", "ps", "-e", "-o", "comm=").split()
    assert {"nginx", "dnsmasq"} & set(running) == set()
    assert labs.json("deploy", "-t", str(plain))["changed"] is False


def test_a_machine_without_the_programs_is_told_all_packages_where_names_are_asked_for(labs: Labs) -> None:
    places = [shutil.which(one, path=f"{os.environ['PATH']}:/usr/sbin") for one in PACKAGES]
    hide = " && ".join(
        f"mount --bind /dev/null {shlex.quote(os.path.realpath(place or ''))}" for place in places
    )
    plain = labs.file(small())
    edgelab = f"{shlex.quote(sys.executable)} -m lab.cli"
    # A file that cannot be executed is no program. A file without names does not miss it.
    script = (
        f"mount --make-rprivate / && {hide} && "
        f"{{ {edgelab} deploy -t {shlex.quote(str(NAMES))}; echo status $?; }} && "
        f"{edgelab} deploy -t {shlex.quote(str(plain))} && {edgelab} destroy"
    )
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", script],
        env=labs.environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=90,
    )
    assert (done.returncode, "status 3" in done.stdout) == (0, True), done.stdout + done.stderr
    assert re.search(r"way out: .*apt-get install .*dnsmasq-base nginx-light openssl", done.stderr)
    assert_nothing_left(labs)


def test_an_ordinary_user_has_names_too() -> None:
    with ordinary_labs() as labs:
        labs.ok("deploy", "-t", str(NAMES), "--links", "ring")
        assert labs.json("check", "names")["failed"] == 0
        labs.ok("destroy", "names")
        until(lambda: not labs.processes(), f"all processes of user {USER} end")
