"""What is shipped is what the sources give, and both sides see the same bytes."""

from __future__ import annotations

import importlib
import importlib.util
import json
import re
import shutil
import struct
import subprocess
import types
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.fastpath import _native, layout
from edge.fastpath.build import CSRC, EXTENSIONS, Extension
from edge.fastpath.layout import Action, Rate, Rule, RuleKey, Stats, SubinterfaceEntry, rewrite
from edge.fastpath.program import shipped
from edge.model import TAG_ETHERTYPES, Tag, TagStack

stacks = st.lists(st.builds(Tag, st.integers(1, 4094), st.sampled_from(TAG_ETHERTYPES)), max_size=2).map(
    tuple
)
u32 = st.integers(0, 2**32 - 1)


def generator() -> types.ModuleType:
    spec = importlib.util.spec_from_file_location("generate", CSRC / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", generator().OBJECTS)
def test_the_shipped_programs_were_made_from_these_sources(name: str) -> None:
    assert shipped(name).source_sha256 == generator().source_hash(name), "stale: make -C csrc"


@pytest.mark.parametrize("name", generator().OBJECTS)
def test_every_header_of_ours_that_an_object_includes_is_among_its_sources(name: str) -> None:
    sources = generator().OBJECTS[name]
    included = {
        header
        for source in sources
        for header in re.findall(r'^#include "(.*)"$', (CSRC / source).read_text(), re.MULTILINE)
    }
    assert included == set(sources[1:])


@pytest.mark.parametrize("name", generator().OBJECTS)
def test_a_rebuild_gives_the_shipped_instructions(name: str) -> None:
    if shutil.which("clang-14") is None or not Path("/usr/include/bpf/bpf_helpers.h").exists():
        pytest.skip("no clang-14 with libbpf's headers: apt-get install clang-14 libbpf-dev")
    rebuilt = json.loads(generator().generate("clang-14", name))
    kept = json.loads((CSRC.parent / f"edge/fastpath/{name}.bpf.json").read_text())
    assert rebuilt["programs"] == kept["programs"], "stale: make -C csrc"
    assert rebuilt["maps"] == kept["maps"]


@pytest.mark.parametrize("extension", EXTENSIONS, ids=lambda extension: extension.name)
def test_the_extension_was_built_from_these_sources(extension: Extension) -> None:
    module = importlib.import_module(f"edge.fastpath._{extension.name}")
    built = module.ffi.string(getattr(module.lib, f"edge_{extension.name}_sources")()).decode()
    assert built == extension.source_hash(), "stale: python3 setup.py build_ext --inplace"


@pytest.mark.parametrize("extension", EXTENSIONS, ids=lambda extension: extension.name)
def test_the_c_sources_compile_without_a_warning(extension: Extension, tmp_path: Path) -> None:
    if shutil.which("gcc") is None:
        pytest.skip("no gcc: apt-get install gcc")
    for source in extension.sources:
        flags = [*extension.flags, "-Werror", "-Wshadow", "-Wconversion", '-DEDGE_SOURCES=""']
        command = ["gcc", *flags, "-c", str(CSRC / source), "-o", str(tmp_path / "out.o")]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr


def c_offset(struct_name: str, field: str) -> int:
    offset = _native.lib.edge_native_offsetof(struct_name.encode(), field.encode())
    assert offset >= 0, f"{struct_name}.{field} is not in tags.h"
    return int(offset)


def test_packed_sizes_are_those_of_the_compiler_and_the_maps() -> None:
    for name, size in layout.SIZES.items():
        assert _native.lib.edge_native_sizeof(name.encode()) == size, name
    maps = shipped("tags").maps
    assert (maps["rules"].key_size, maps["rules"].value_size) == (12, layout.SIZES["edge_rule"])
    assert maps["unknown"].key_size == layout.SIZES["edge_rule_key"]
    assert maps["subinterfaces"].value_size == layout.SIZES["edge_subinterface"]
    assert maps["stats"].value_size == layout.SIZES["edge_stats"]
    assert maps["buckets"].value_size == 8 + layout.SIZES["edge_policer"]


def test_packed_fields_lie_where_the_compiler_puts_them() -> None:
    key = RuleKey(0x11223344, (0x88A8, 3), (0x8100, 100)).pack()
    assert struct.unpack_from("=I", key, c_offset("edge_rule_key", "ifindex")) == (0x11223344,)
    assert struct.unpack_from("=2H", key, c_offset("edge_rule_key", "outer")) == (0x88A8, 3)
    assert struct.unpack_from("=2H", key, c_offset("edge_rule_key", "inner")) == (0x8100, 100)

    tags = (Tag(3, 0x88A8), Tag(100))
    rule = Rule(7, 9, Action.TO_PEER, 2, tags, None, b"\1\2\3\4\5\6", Rate(10, 20, 30, 40, 50), 11).pack()
    at = {
        f: c_offset("edge_rule", f)
        for f in ("ifindex", "slot", "action", "depth", "pop", "push", "tags", "mac", "bucket")
    }
    assert struct.unpack_from("=I", rule, at["ifindex"]) == (7,)
    assert struct.unpack_from("=I", rule, at["slot"]) == (9,)
    assert [rule[at[f]] for f in ("action", "depth", "pop", "push")] == [2, 0xFF, 2, 2]
    assert struct.unpack_from("=4H", rule, at["tags"]) == (0x88A8, 3, 0x8100, 100)
    assert rule[at["mac"] : at["mac"] + 6] == b"\1\2\3\4\5\6"
    assert struct.unpack_from("=I", rule, at["bucket"]) == (11,)
    fields = ("rate_bps", "burst_nanobits", "fill_ns", "tolerated_bps", "tolerated_fill_ns")
    for value, field in zip((10, 20, 30, 40, 50), fields, strict=True):
        offset = c_offset("edge_rule", "rate") + c_offset("edge_rate", field)
        assert struct.unpack_from("=Q", rule, offset) == (value,)

    entry = SubinterfaceEntry(5, 6, tags).pack()
    assert struct.unpack_from("=I", entry, c_offset("edge_subinterface", "port")) == (5,)
    assert struct.unpack_from("=I", entry, c_offset("edge_subinterface", "slot")) == (6,)
    assert entry[c_offset("edge_subinterface", "push")] == 2
    assert struct.unpack_from("=4H", entry, c_offset("edge_subinterface", "tags")) == (0x88A8, 3, 0x8100, 100)

    offsets = [c_offset("edge_stats", f) for f in ("packets", "bytes", "dropped_packets", "dropped_bytes")]
    assert offsets == [0, 8, 16, 24]
    assert Stats.sum(struct.pack("=4Q", 1, 2, 3, 4) + struct.pack("=4Q", 10, 20, 30, 40)) == Stats(
        11, 22, 33, 44
    )


@given(u32, stacks)
def test_keys_come_back_as_they_went(ifindex: int, tags: TagStack) -> None:
    key = RuleKey.of(ifindex, tags)
    assert RuleKey.unpack(key.pack()) == key
    assert key.tags == tags


@given(u32, u32, st.sampled_from(Action), st.integers(0, 2), stacks, st.sampled_from([None, 0, 1, 2]),
       st.binary(min_size=6, max_size=6), st.one_of(st.none(), st.integers(1, 10**11)), u32)  # fmt: skip
def test_rules_come_back_as_they_went(
    ifindex: int,
    slot: int,
    action: Action,
    pop: int,
    push: TagStack,
    depth: int | None,
    mac: bytes,
    rate: int | None,
    bucket: int,
) -> None:
    rule = Rule(ifindex, slot, action, pop, push, depth, mac, Rate.of(rate), bucket)
    assert Rule.unpack(rule.pack()) == rule
    entry = SubinterfaceEntry(ifindex, slot, push)
    assert SubinterfaceEntry.unpack(entry.pack()) == entry


@given(stacks, stacks, stacks)
def test_a_rewrite_gives_the_wanted_tags_and_touches_no_more_than_needed(
    before: TagStack, after: TagStack, deeper: TagStack
) -> None:
    pop, push = rewrite(before, after)
    assert push + (before + deeper)[pop:] == after + deeper
    if before == after:
        assert (pop, push) == (0, ())
    if pop and push:
        assert before[pop - 1] != push[-1]
