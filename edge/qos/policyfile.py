"""A user's own policy, in YAML: read with positions, every problem at once. `policykeys` lists the keys.

    name: contoso
    extends: teams
    rules:
      - {name: desk-phones, class: voice, protocol: udp, ports: 16384-32767, source: 10.1.8.0/22}

The file's own rules come before those of the profile that it extends.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from edge.document import source
from edge.document.kind import Kind
from edge.document.suggest import closest, hint_for
from edge.document.tree import Mark, Value
from edge.errors import InputError, Problem, UsageError
from edge.qos.expressroute import TABLE
from edge.qos.model import CLASSES, DSCP_CS0, QUEUES_MAX, RULES_MAX, Policy, Rule, TrafficClass
from edge.qos.names import PROTOCOLS_WITH_PORTS, protocol_name
from edge.qos.policykeys import CLASS_KEYS, POLICY_KEYS, RULE_KEYS, Key
from edge.qos.policyvalues import RefusedError, name, show
from edge.qos.profiles import PROFILES, UDP, profile

POLICY = Kind(
    noun="policy",
    file="policy file",
    suffix="*.yml",
    option="--policy",
    begin="begin with `name: my-policy`, then `extends: teams` or `rules:`",
    empty="begin with `name: my-policy`; `edge show --policy teams --format yaml` prints one",
    too_large="give prefixes instead of single addresses",
    depth="a policy needs 4 levels",
)
"""A policy file in messages."""

Place = tuple[str | int, ...]
"""A place in the document: keys and list indexes."""

_CLASS_DSCP = {row.class_name: row.dscp for row in TABLE}


def load(path: Path) -> Policy:
    """The policy of a file. Raises InputError with every problem, placed in the file."""
    return _policy(source.read(path, POLICY))


def loads(text: str, filename: str) -> Policy:
    """The same from text; `filename` stands in the problems. Raises InputError."""
    return _policy(source.parse(text, filename, POLICY))


def find(word: str) -> Policy:
    """A built-in policy by its name, else the policy file of that name. Raises UsageError, InputError."""
    if word in PROFILES:
        return profile(word)
    path = Path(word)
    if path.suffix or "/" in word or path.is_file():
        return load(path)
    raise UsageError(
        f"there is no policy {show(word)}; {hint_for(word, PROFILES)}, or name a file (policy.yml)"
    )


@dataclass(slots=True)
class _Reading:
    """One file: what was found wrong so far."""

    filename: str
    problems: list[Problem] = field(default_factory=list)

    def note(self, mark: Mark, path: Place, message: str, hint: str) -> None:
        """Remember one problem."""
        dotted = ".".join(map(str, path))
        self.problems.append(Problem(self.filename, mark.line, mark.column, dotted, message, hint))

    def members(self, value: Value, path: Place) -> dict[str, Value] | None:
        """The members of an object, None (and a problem) when it is none."""
        if isinstance(value.content, dict):
            return value.content
        words = f"{show(value.plain())} stands where an object is needed"
        self.note(value.mark, path, words, "write keys and values below it, or {key: value}")
        return None

    def fields(self, value: Value, keys: Mapping[str, Key], path: Place) -> dict[str, Any] | None:
        """The plain keys of an object, read; those that are wrong are left out. None when it is no object."""
        members = self.members(value, path)
        if members is None:
            return None
        absent = [key for key in keys if key not in members]
        meant: set[str] = set()
        for word in members:
            if word not in keys:
                guess = closest(word, [key for key in absent if not keys[key].default]) or closest(word, keys)
                meant.update([guess] if guess else [])
                way_out = f"did you mean {guess}?" if guess else f"there is {', '.join(keys)}"
                self.note(value.keys[word], (*path, word), "unknown key", way_out)
        for word in absent:
            if not keys[word].default and word not in meant:
                way_out = f"add `{word}`: {keys[word].meaning}, for example {keys[word].example}"
                self.note(value.mark, (*path, word), "is missing", way_out)
        found = {}
        for word, key in keys.items():
            if word in members and key.read is not None:
                result = self._read(members[word], key, (*path, word))
                if result is not None:
                    found[word] = result[0]
        return found

    def _read(self, value: Value, key: Key, path: Place) -> tuple[Any] | None:
        """What one key says, in a tuple (None is a value, too); None when it is wrong."""
        assert key.read is not None
        if not key.many:
            return self._scalar(value, key, path)
        if not isinstance(value.content, list):
            one = self._scalar(value, key, path)
            return one and (one,)
        if not value.content:
            self.note(value.mark, path, "the list is empty", "write one at least, or leave the key out")
            return None
        read = [self._scalar(each, key, (*path, number)) for number, each in enumerate(value.content)]
        return (tuple(one[0] for one in read if one is not None),) if None not in read else None

    def _scalar(self, value: Value, key: Key, path: Place) -> tuple[Any] | None:
        assert key.read is not None
        try:
            return (key.read(value.plain()),)
        except RefusedError as refused:
            self.note(value.mark, path, refused.words, refused.hint)
            return None


def _policy(file: source.Source) -> Policy:
    assert file.root is not None
    assert isinstance(file.root.content, dict)
    reading = _Reading(file.filename)
    fields = reading.fields(file.root, POLICY_KEYS, ()) or {}
    members = file.root.content
    classes = _classes(reading, members["classes"]) if "classes" in members else CLASSES
    own = _rules(reading, members["rules"], classes) if "rules" in members else []
    inherited = _inherited(reading, file.root, fields, classes)
    if len(own) + len(inherited) > RULES_MAX:
        words = f"{len(own) + len(inherited)} rules are more than {RULES_MAX}"
        reading.note(file.root.keys["rules"], ("rules",), words, "join prefixes and ranges")
    if reading.problems:
        raise InputError(reading.problems)
    unmatched = fields.get("unmatched", DSCP_CS0)
    return Policy(fields["name"], (*own, *inherited), classes, unmatched)


def _inherited(
    reading: _Reading, root: Value, fields: Mapping[str, Any], classes: Sequence[TrafficClass]
) -> tuple[Rule, ...]:
    """The rules of the profile that the file extends, none when it extends none."""
    base = fields.get("extends")
    if "servers" in fields and (base is None or not PROFILES[base].takes_servers):
        words = (
            "there are no rules for servers to narrow" if base is None else f"{base} has no rules for servers"
        )
        takers = ", ".join(one.name for one in PROFILES.values() if one.takes_servers)
        reading.note(root.keys["servers"], ("servers",), words, f"take it out, or extend one of {takers}")
        return ()
    if base is None:
        return ()
    rules = profile(base, fields.get("servers", ())).rules
    names = {item.name for item in classes}
    lacking = [one for one in dict.fromkeys(rule.class_name for rule in rules) if one not in names]
    if lacking and "classes" in root.keys and names:
        words = f"{base} needs the class{'es' if len(lacking) > 1 else ''} {', '.join(lacking)}"
        reading.note(root.keys["classes"], ("classes",), words, "add it, or do not extend the profile")
    return rules


def _classes(reading: _Reading, value: Value) -> tuple[TrafficClass, ...]:
    """The classes of the file; empty when they cannot be told."""
    members = reading.members(value, ("classes",))
    if members is None:
        return ()
    before = len(reading.problems)
    classes: list[TrafficClass] = []
    for word, member in members.items():
        path = ("classes", word)
        try:
            name(word)
        except RefusedError as refused:
            reading.note(value.keys[word], path, refused.words, refused.hint)
        fields = reading.fields(member, CLASS_KEYS, path) or {}
        strict = fields.get("strict", False)
        if strict and classes and not classes[-1].strict:
            words = f"is strict and stands behind {classes[-1].name}, which is not"
            reading.note(value.keys[word], path, words, "put strict classes first: they are served first")
        classes.append(TrafficClass(word, len(classes), fields.get("share", 1), strict))
    if "default" not in members:
        way_out = "add `default: {share: 20}`: the class of packets that no rule matches"
        reading.note(value.mark, ("classes", "default"), "is missing", way_out)
    if len(classes) > QUEUES_MAX:
        words = f"{len(classes)} classes are more than {QUEUES_MAX}"
        reading.note(value.mark, ("classes",), words, "join some")
    total = sum(item.share for item in classes)
    if total > 100 and len(reading.problems) == before:
        reading.note(value.mark, ("classes",), f"the shares add up to {total} %", "make it 100 or less")
    return tuple(classes)


def _rules(reading: _Reading, value: Value, classes: Sequence[TrafficClass]) -> list[Rule]:
    if not isinstance(value.content, list):
        words = f"{show(value.plain())} stands where a list of rules is needed"
        reading.note(value.mark, ("rules",), words, "write each rule as `- name: ...`")
        return []
    rules: list[Rule] = []
    first_of: dict[str, Mark] = {}
    for number, member in enumerate(value.content):
        path = ("rules", number)
        fields = reading.fields(member, RULE_KEYS, path)
        if fields is None:
            continue
        assert isinstance(member.content, dict)
        if "name" in fields:
            mark = member.content["name"].mark
            first = first_of.setdefault(fields["name"], mark)
            if first != mark:
                words = f"the name {fields['name']} stands here a second time"
                reading.note(
                    mark, (*path, "name"), words, f"the first is in line {first.line}; write another"
                )
        rules.append(_rule(reading, member, fields, classes, path))
    return rules


def _rule(
    reading: _Reading, value: Value, fields: dict[str, Any], classes: Sequence[TrafficClass], path: Place
) -> Rule:
    """One rule, good or not: what is wrong with it has been noted."""
    assert isinstance(value.content, dict)
    names = [item.name for item in classes]
    class_name = fields.get("class", "default")
    if names and class_name not in (*names, "default"):
        mark = value.content["class"].mark
        reading.note(mark, (*path, "class"), f"there is no class {class_name}", hint_for(class_name, names))
    elif "class" in fields and "dscp" not in value.content and class_name not in _CLASS_DSCP:
        way_out = (
            f"add `dscp`: the service's table has no value for the class {class_name}; `keep` changes none"
        )
        reading.note(value.mark, (*path, "dscp"), "is missing", way_out)
    rule = Rule(
        fields.get("name", ""),
        class_name,
        fields["dscp"] if "dscp" in fields else _CLASS_DSCP.get(class_name),
        fields.get("protocol", ()),
        fields.get("source_ports"),
        fields.get("destination_ports"),
        fields.get("ports"),
        fields.get("source", ()),
        fields.get("destination", ()),
        fields.get("existing_dscp", ()),
        fields.get("hint", ""),
        fields.get("direction", "both"),
        f"{reading.filename}:{value.mark.line}:{value.mark.column}",
    )
    for key, words, way_out in _contradictions(rule):
        reading.note(value.keys[key], (*path, key), words, way_out)
    if rule.hint and not rule.protocols:
        return replace(rule, protocols=(UDP,))
    return rule


def _contradictions(rule: Rule) -> list[tuple[str, str, str]]:
    """(key, what is wrong, way out) for conditions of a rule that no packet meets together."""
    found = []
    asked = [
        key
        for key, ports in (
            ("ports", rule.either_ports),
            ("source_ports", rule.source_ports),
            ("destination_ports", rule.destination_ports),
        )
        if ports is not None
    ]
    protocols = ", ".join(map(protocol_name, rule.protocols))
    if asked and rule.protocols and not PROTOCOLS_WITH_PORTS.intersection(rule.protocols):
        found.append((asked[0], f"{protocols} has no ports", "take the ports out, or write another protocol"))
    if rule.hint and rule.protocols and UDP not in rule.protocols:
        found.append(
            ("hint", f"a hint looks into UDP, the rule asks for {protocols}", "write `protocol: udp`")
        )
    versions = [{prefix.version for prefix in side} for side in (rule.source, rule.destination)]
    if all(versions) and not versions[0] & versions[1]:
        words = f"is IPv{min(versions[1])} where the source is IPv{min(versions[0])}"
        found.append(("destination", words, "write prefixes of one version on both sides"))
    return found
