"""Faults that fit only on top of another one: which they are, what healing and changes say of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from pathlib import Path

import pytest

import lab
from edge.errors import UsageError
from lab.compile import compile_lab
from lab.faults.faulted import carried, clinging, faulted, misfit, read
from lab.faults.kinds import KINDS
from lab.faults.model import Active, Fault, Kind
from lab.faults.targets import links_of, nodes_at
from lab.faults.telling import kept_by
from lab.faults.units import NODE, SIDE, fields_of
from lab.lookup import sessions_of
from lab.model import LabModel
from lab.topology import load

CONTOSO = Path(lab.__file__).parent / "topologies" / "contoso.edge.yml"


@pytest.fixture(scope="module")
def contoso() -> LabModel:
    return load(CONTOSO)


def words_of_kind(model: LabModel, kind: Kind) -> Iterator[dict[str, str]]:
    """Options that a fault of this kind may have: its example's, and what other peerings use already."""
    _, *rest = kind.example.split()
    example = dict(zip((word.removeprefix("--") for word in rest[::2]), rest[1::2], strict=True))
    known = fields_of(kind.options)
    if any(option.unit is SIDE for _, option in known.values()):
        subs = [
            sub for router in model.routers for vrf in router.vrfs for sub in vrf.subinterfaces if sub.tags
        ]
        tags = sorted({str(sub.tags[-1].vid) for sub in subs} | {"101"})
        ends = (one for end in model.peering_ends for one in sessions_of(model, end))
        keys = sorted({one.session.password for one in ends if one.session.password} | {"wr0ng"})
        values = {"c-tag": tags, "key": keys}
        name = "c-tag" if "c-tag" in known else "key"
        for value, side in product(values[name], ("customer", "microsoft")):
            yield {name: value, "side": side}
    # Which end of a link it is depends on the link.
    yield {name: value for name, value in example.items() if known[name][1].unit is not NODE}


def every(model: LabModel) -> list[Fault]:
    """A fault of each kind that lasts at each target that it may have, whether it fits the lab or not."""
    found = []
    for kind in KINDS.values():
        one_way = kind.name == "one-way"
        for target in kind.sort.known(model) if kind.lasting else ():
            for options in words_of_kind(model, kind):
                ends = {"towards": nodes_at(model, links_of(model, target)[0])[0]} if one_way else {}
                words = {"kind": kind.name, "target": target, "options": {**options, **ends}}
                found.append(read(None, {**words, "name": f"f{len(found)}"}))
    return found


@pytest.fixture(scope="module")
def faults(contoso: LabModel) -> list[Fault]:
    return every(contoso)


@pytest.fixture(scope="module")
def together(contoso: LabModel, faults: list[Fault]) -> list[tuple[Fault, Fault]]:
    """Every ordered pair of which the second fits only on top of the first."""
    alone = {fault.name for fault in faults if misfit(contoso, fault)}
    assert len(alone) < len(faults)
    found = []
    for first in faults:
        if first.name in alone:
            continue
        harmed = faulted(replace(contoso, faults=(Active(first, 1.0),)))
        found += [(first, one) for one in faults if one.name in alone and not misfit(harmed, one)]
    return found


def test_of_all_pairs_those_fit_only_together_whose_second_takes_a_tag_or_key_that_the_first_gave_up(
    together: list[tuple[Fault, Fault]],
) -> None:
    assert together
    assert {(first.kind, second.kind) for first, second in together} == {
        ("wrong-tag", "wrong-tag"),
        ("wrong-key", "wrong-key"),
    }


def test_after_healing_one_of_any_two_faults_the_rest_fits_or_the_other_is_named_with_the_way_out(
    contoso: LabModel, together: list[tuple[Fault, Fault]]
) -> None:
    for first, second in together:
        one, other = Active(first, 1.0), Active(second, 2.0)
        both = replace(contoso, faults=(one, other))
        faulted(both)
        kept = clinging(both, [one])
        assert [item.active for item in kept] == [other]
        told = kept_by("contoso", [one], kept)
        assert f"edgelab heal contoso {first.name} {second.name}" in told
        assert str(second) in told
        assert kept[0].why in told
        assert clinging(both, [other]) == clinging(both, [one, other]) == ()
        faulted(replace(both, faults=(one,)))


def test_every_other_pair_loses_its_first_and_is_a_lab_that_can_be_built(
    contoso: LabModel, faults: list[Fault]
) -> None:
    """What fits alone fits when the older one is healed; here with one of each kind."""
    alone = [fault for fault in faults if not misfit(contoso, fault)]
    firsts = {fault.kind: fault for fault in alone}
    assert firsts.keys() == {kind.name for kind in KINDS.values() if kind.lasting}
    for first in firsts.values():
        harmed = faulted(replace(contoso, faults=(Active(first, 1.0),)))
        for second in firsts.values():
            if not misfit(harmed, second):
                both = replace(contoso, faults=(Active(first, 1.0), Active(second, 2.0)))
                assert clinging(both, both.faults[:1]) == clinging(both, both.faults[1:]) == ()
        assert compile_lab(replace(contoso, faults=(Active(first, 1.0),)), "bpf")


def test_a_change_keeps_what_fits_on_top_of_another_and_tells_what_it_drops_with_it(
    contoso: LabModel, together: list[tuple[Fault, Fault]]
) -> None:
    first, second = next(pair for pair in together if pair[0].kind == "wrong-tag")
    both = replace(contoso, faults=(Active(first, 1.0), Active(second, 2.0)))
    after, dropped = carried(both, contoso)
    assert (after.faults, dropped) == (both.faults, ())
    # Without the first the second is gone as well, and the lab can still be built.
    after, dropped = carried(replace(both, faults=both.faults[1:]), contoso)
    assert (after.faults, [one.active.fault for one in dropped]) == ((), [second])
    assert dropped[0].why
    assert faulted(after) == contoso


def test_a_fault_that_fits_only_alone_is_dropped_rather_than_that_the_change_is_refused(
    contoso: LabModel, together: list[tuple[Fault, Fault]]
) -> None:
    first, second = next(pair for pair in together if pair[0].kind == "wrong-key")
    # In the other order: the second does not fit, and then the first one does.
    turned = replace(contoso, faults=(Active(second, 1.0), Active(first, 2.0)))
    with pytest.raises(UsageError):
        faulted(turned)
    after, dropped = carried(turned, contoso)
    assert [one.fault for one in after.faults] == [first]
    assert [one.active.fault for one in dropped] == [second]
