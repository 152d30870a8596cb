"""bird.conf from a VRF: golden files, BIRD's own parser, and what cannot be written.

`EDGELAB_UPDATE_GOLDEN=1 pytest tests/unit/test_bgp_config.py` writes the golden files again.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import replace
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest

from edge.bgp.config import error_wait, render
from edge.bgp.policy import community, import_filter, protocol_name
from edge.model import (
    Bfd,
    ExportPolicy,
    ImportPolicy,
    Originate,
    PrefixLimit,
    Session,
    Timers,
    Vrf,
)
from tests.unit.bgp_models import vrfs

GOLDEN = Path(__file__).parents[1] / "golden" / "bird"
BIRD = shutil.which("bird", path=os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin")))
NAMES = tuple(vrfs())


@pytest.mark.parametrize("name", NAMES)
def test_a_vrf_renders_to_its_golden_file(name: str) -> None:
    text, file = render(vrfs()[name]), GOLDEN / f"{name}.conf"
    if os.environ.get("EDGELAB_UPDATE_GOLDEN"):
        file.write_text(text)
    assert text == file.read_text()


@pytest.mark.parametrize("name", NAMES)
def test_bird_accepts_the_golden_file(name: str) -> None:
    if BIRD is None:
        pytest.skip("needs BIRD")
    done = subprocess.run([BIRD, "-p", "-c", GOLDEN / f"{name}.conf"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_every_golden_file_has_its_vrf() -> None:
    assert {file.stem for file in GOLDEN.glob("*.conf")} == set(NAMES)


def msee() -> tuple[Vrf, Session]:
    vrf = vrfs()["msee-private"]
    return vrf, vrf.sessions[0]


def rendered(session: Session) -> str:
    vrf, _ = msee()
    return render(replace(vrf, sessions=(session,)))


@pytest.mark.parametrize(
    "password", ["", "with space", 'quo"te', "new\nline", "x" * 26, "ümlaut", "back\\slash", "semi;colon"]
)
def test_a_key_that_is_not_letters_and_digits_is_refused_and_not_shown(password: str) -> None:
    _, session = msee()
    with pytest.raises(ValueError, match="shared key must be 1-25 letters and digits") as refused:
        rendered(replace(session, password=password))
    assert not password or password not in str(refused.value)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"name": "a-b"}, "letters, digits and underscores"),
        ({"name": ""}, "letters, digits and underscores"),
        ({"group": "a_b"}, "letter first"),
        ({"group": "9"}, "letter first"),
        ({"exports": ExportPolicy(groups=('x"*',))}, "letter first"),
        ({"interface": "way-too-long-a-name"}, "network device"),
        ({"interface": 'x"; include'}, "network device"),
        ({"local": ip_address("fd00::1")}, "two address families"),
        ({"timers": Timers(hold_s=2, keepalive_s=1)}, "RFC 4271"),
        ({"timers": Timers(hold_s=10, keepalive_s=60)}, "keepalive"),
        ({"timers": Timers(connect_retry_s=0)}, "at least 1 s"),
        ({"timers": Timers(error_wait_s=(0, 8))}, "at least 1 s"),
        ({"imports": ImportPolicy(limit=PrefixLimit(0))}, "prefix limit"),
        ({"bfd": Bfd(5, 3)}, "BFD takes"),
        ({"bfd": Bfd(300, 256)}, "BFD takes"),
        ({"exports": ExportPolicy(groups=("core",), communities=((12076, 70000),))}, "12076:70000"),
        ({"exports": ExportPolicy(prepend=99)}, "prepend 99"),
    ],
)
def test_what_cannot_be_written_is_refused_in_words(change: dict[str, object], words: str) -> None:
    _, session = msee()
    with pytest.raises(ValueError, match=words):
        rendered(replace(session, **change))


def test_two_sessions_of_one_name_are_refused() -> None:
    vrf, session = msee()
    with pytest.raises(ValueError, match="another session of group customer has this name"):
        render(replace(vrf, sessions=(session, session)))


def test_a_name_cannot_break_out_of_the_comment() -> None:
    text = render(replace(vrfs()["empty"], name="x\nrouter id 6.6.6.6;"))
    assert "\nrouter id 6.6.6.6" not in text


def test_one_more_session_changes_no_line_of_the_others() -> None:
    vrf = vrfs()["msee-private"]
    one, all_of_them = render(replace(vrf, sessions=vrf.sessions[:1])), render(vrf)
    block = one[one.index("filter import_customer_ams_private_4") :]
    assert block in all_of_them


def test_communities_and_prefixes_do_not_depend_on_the_order_they_were_given_in() -> None:
    vrf = vrfs()["msee-microsoft"]
    session = vrf.sessions[0]
    turned = replace(
        session,
        imports=replace(session.imports, refuse=session.imports.refuse[::-1]),
        exports=replace(session.exports, communities=(session.exports.communities or ())[::-1]),
    )
    assert render(replace(vrf, sessions=(turned,))) == render(replace(vrf, sessions=(session,)))


def test_a_refuse_list_of_the_other_family_leaves_no_empty_set() -> None:
    _, session = msee()
    refused = replace(session, imports=ImportPolicy(refuse=(ip_network("fd00::/8"),)))
    assert "[]" not in import_filter(refused)
    assert "reject" not in import_filter(refused)


def test_an_originated_prefix_on_a_device_follows_the_device_and_another_is_a_blackhole() -> None:
    text = render(vrfs()["ce"])
    assert 'route 10.1.0.0/16 via "lan0";' in text
    assert "route 203.0.113.0/28 blackhole;" in text


def test_a_limit_sets_the_longest_pause_and_not_the_first() -> None:
    _, session = msee()
    plain = replace(session, imports=ImportPolicy(), timers=Timers(error_wait_s=(1, 8)))
    limited = replace(plain, imports=ImportPolicy(limit=PrefixLimit(10, retry_s=30)))
    impatient = replace(plain, imports=ImportPolicy(limit=PrefixLimit(10, retry_s=1)))
    assert [error_wait(item) for item in (plain, limited, impatient)] == [(1, 8), (1, 30), (1, 1)]
    assert error_wait(replace(plain, timers=Timers(error_wait_s=(9, 4)))) == (9, 9)


def test_communities_are_two_halves_of_16_bits() -> None:
    assert community((12076, 5030)) == "(12076,5030)"
    with pytest.raises(ValueError, match="RFC 1997"):
        render(replace(vrfs()["empty"], originates=(Originate(ip_network("10.0.0.0/8"), ((-1, 0),)),)))


def test_the_group_is_the_part_of_the_name_before_the_underscore() -> None:
    assert protocol_name(msee()[1]) == "customer_ams_private_4"
