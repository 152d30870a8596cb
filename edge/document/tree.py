"""YAML text to a tree of values that know their place. Raises InputError, never anything else.

We read YAML 1.2 (core schema) from ruamel.yaml's events and build the tree ourselves: that keeps the
place of every key and value, reports duplicate keys instead of taking the last, and bounds what a
hostile file may cost (number of values, depth, expansion of aliases). Lines and columns count from 1.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from edge.document.kind import Kind
from edge.errors import InputError, Problem

MAX_VALUES = 50_000
"""Most values in a file, aliases expanded."""

MAX_DEPTH = 32
"""Deepest nesting; a large topology needs 7."""

MAX_NUMBER = 40
"""Most characters of a number; longer ones are text, which nothing takes for a number."""

Scalar = str | int | float | bool | None

_BREAK = re.compile("\r\n|[\n\r\x85\u2028\u2029]")
_NULL = re.compile(r"~|null|Null|NULL|")
_BOOL = re.compile(r"true|True|TRUE|false|False|FALSE")
_INT = re.compile(r"[-+]?[0-9]{1,40}|0o[0-7]{1,40}|0x[0-9a-fA-F]{1,40}")
_FLOAT = re.compile(
    r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)"
)
_TAGS = {"tag:yaml.org,2002:str", "tag:yaml.org,2002:seq", "tag:yaml.org,2002:map", "!"}


@dataclass(frozen=True, slots=True, order=True)
class Mark:
    """A place in the file: line and column from 1; line 0 is "the whole file"."""

    line: int = 0
    column: int = 0


WHOLE_FILE = Mark()


@dataclass(slots=True)
class Value:
    """A node of the tree: a scalar, a list of Value, or a dict of str -> Value."""

    mark: Mark
    content: Scalar | list[Value] | dict[str, Value]
    keys: dict[str, Mark] = field(default_factory=dict)

    def plain(self) -> Any:
        """The same as plain Python data; aliased parts are shared no longer."""
        if isinstance(self.content, dict):
            return {key: value.plain() for key, value in self.content.items()}
        if isinstance(self.content, list):
            return [value.plain() for value in self.content]
        return self.content


def mark_of(text: str, offset: int | None) -> Mark:
    """The place of the character at `offset`, or of the end of the text."""
    before = _BREAK.split(text[:offset] if offset is not None else text)
    return Mark(len(before), len(before[-1]) + 1)


class Reader:
    """One pass over the events of one text."""

    def __init__(self, text: str, filename: str, kind: Kind) -> None:
        self.text = text
        self.kind = kind
        self.filename = filename
        self.lines = _BREAK.split(text)
        self.problems: list[Problem] = []
        self.anchors: dict[str, Value | None] = {}
        self.sizes: dict[int, int] = {}
        self.count = 0

    def read(self) -> Value:
        """The tree of the one document in the text. Raises InputError."""
        from ruamel.yaml import YAML
        from ruamel.yaml.error import MarkedYAMLError, YAMLError

        try:
            root = self._document(iter(YAML(typ="safe", pure=True).parse(self.text)))
        except MarkedYAMLError as error:
            place = error.problem_mark or error.context_mark
            words, hint = _yaml_words(error.problem or error.context or "")
            raise self._refuse(words, hint, self._mark(place) if place else WHOLE_FILE) from error
        except (YAMLError, ValueError, IndexError, AttributeError, TypeError, OverflowError) as error:
            # The YAML reader has corners in which hostile text trips its own code.
            raise self._refuse("is not valid YAML", "check quotes, brackets and escapes") from error
        if self.problems:
            raise InputError(self.problems)
        return root

    def _refuse(self, message: str, hint: str, mark: Mark = WHOLE_FILE) -> InputError:
        return InputError([*self.problems, Problem(self.filename, mark.line, mark.column, "", message, hint)])

    def _note(self, mark: Mark, message: str, hint: str) -> None:
        self.problems.append(Problem(self.filename, mark.line, mark.column, "", message, hint))

    def _mark(self, mark: Any) -> Mark:
        """Ours from ruamel's (which counts from 0, and at the end of the text one line too far)."""
        line = min(int(mark.line), len(self.lines) - 1)
        column = int(mark.column) if line == mark.line else len(self.lines[line])
        return Mark(line + 1, min(column, len(self.lines[line])) + 1)

    def _document(self, events: Iterator[Any]) -> Value:
        from ruamel.yaml.events import DocumentStartEvent, NodeEvent

        root: Value | None = None
        documents = 0
        for event in events:
            if isinstance(event, DocumentStartEvent):
                documents += 1
                if documents > 1:
                    raise self._refuse(
                        "a second YAML document begins here",
                        f"keep one {self.kind.noun} per file, take the `---` out",
                        self._mark(event.start_mark),
                    )
            elif isinstance(event, NodeEvent):
                root = self._tree(event, events)
        if root is None or (root.content is None and not self.problems):
            raise self._refuse("is empty", self.kind.empty, Mark(1, 1))
        return root

    def _tree(self, first: Any, events: Iterator[Any]) -> Value:
        """The node that begins with event `first`. A stack instead of recursion bounds the depth."""
        from ruamel.yaml.events import AliasEvent, CollectionEndEvent, MappingStartEvent, ScalarEvent

        open_values: list[tuple[Value, str | None]] = []
        pending: list[tuple[str, Mark] | None] = []
        event = first
        while True:
            closed: Value | None = None
            if isinstance(event, CollectionEndEvent):
                closed, anchor = open_values.pop()
                pending.pop()
                self._finish(closed, anchor)
            else:
                mark = self._mark(event.start_mark)
                at_key = (
                    bool(open_values) and isinstance(open_values[-1][0].content, dict) and pending[-1] is None
                )
                self._spend(1, mark)
                if isinstance(event, AliasEvent):
                    closed = self._alias(event, mark)
                elif isinstance(event, ScalarEvent):
                    closed = Value(mark, _text(event.value) if at_key else self._scalar(event, mark))
                    self._finish(closed, event.anchor)
                else:
                    if len(open_values) >= MAX_DEPTH:
                        raise self._refuse(f"is nested more than {MAX_DEPTH} deep", self.kind.depth, mark)
                    if event.tag is not None and event.tag not in _TAGS:
                        self._note(mark, f"YAML tag {event.tag} has no meaning here", "take it out")
                    if event.anchor is not None:
                        self.anchors[event.anchor] = None
                    mapping = isinstance(event, MappingStartEvent)
                    if at_key:
                        self._note(mark, "a key cannot be a list or an object", "use a word as the key")
                    open_values.append((Value(mark, {} if mapping else []), event.anchor))
                    pending.append(None)
            if closed is not None:
                if not open_values:
                    return closed
                pending[-1] = self._attach(open_values[-1][0], pending[-1], closed)
            event = next(events)

    def _attach(self, parent: Value, key: tuple[str, Mark] | None, value: Value) -> tuple[str, Mark] | None:
        """Put a finished value into its parent; returns the key that now waits for a value, if any."""
        if isinstance(parent.content, list):
            parent.content.append(value)
            return None
        assert isinstance(parent.content, dict)
        if key is None:
            name = value.content if isinstance(value.content, str) else "?"
            if name == "<<":
                self._note(
                    value.mark,
                    "`<<` (merge) is not part of YAML 1.2",
                    "write the keys out, or use an alias for the whole value",
                )
            if name in parent.content:
                self._note(
                    value.mark,
                    f"the key {name!r} stands here a second time",
                    f"keep one; the first is in line {parent.keys[name].line}",
                )
            return name, value.mark
        name, mark = key
        if name not in parent.content:
            parent.content[name] = value
            parent.keys[name] = mark
        return None

    def _finish(self, value: Value, anchor: str | None) -> None:
        """Remember an anchored value and what it costs to repeat."""
        if anchor is None:
            return
        self.anchors[anchor] = value
        self.sizes[id(value)] = _size(value, self.sizes)

    def _alias(self, event: Any, mark: Mark) -> Value:
        value = self.anchors.get(event.anchor)
        if value is None:
            known = event.anchor in self.anchors
            words = "refers to the value that it is part of" if known else "refers to no anchor above it"
            raise self._refuse(f"the alias *{event.anchor} {words}", "write the value out", mark)
        self._spend(self.sizes[id(value)], mark)
        return value

    def _spend(self, values: int, mark: Mark) -> None:
        self.count += values
        if self.count > MAX_VALUES:
            raise self._refuse(
                f"holds more than {MAX_VALUES} values",
                self.kind.too_large + ", use fewer aliases",
                mark,
            )

    def _scalar(self, event: Any, mark: Mark) -> Scalar:
        """The value of a scalar by YAML 1.2's core schema; quoted text stays text."""
        text = _text(event.value)
        if event.tag is not None:
            if event.tag not in _TAGS:
                self._note(mark, f"YAML tag {event.tag} has no meaning here", "take it out")
            return text
        if event.style is not None:
            return text
        if _NULL.fullmatch(text):
            return None
        if _BOOL.fullmatch(text):
            return text.lower() == "true"
        if _INT.fullmatch(text):
            return (
                int(text[2:], 8) if text.startswith("0o") else int(text, 16 if text.startswith("0x") else 10)
            )
        if len(text) <= MAX_NUMBER and _FLOAT.fullmatch(text):
            return float(re.sub(r"\.(?=inf|nan)", "", text.lower()))
        return text


def _text(read: str) -> str:
    """A text with JSON's pairs of surrogates joined to the characters that they mean.

    A half without the other is no character: U+FFFD stands for it (Unicode 3.9).
    """
    if read.isascii():
        return read
    return read.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _size(value: Value, known: dict[int, int]) -> int:
    """How many values a tree holds; the anchored ones inside it are known already."""
    total, stack = 0, [value]
    while stack:
        one = stack.pop()
        if id(one) in known:
            total += known[id(one)]
            continue
        total += 1
        if isinstance(one.content, dict):
            total += len(one.content)
            stack.extend(one.content.values())
        elif isinstance(one.content, list):
            stack.extend(one.content)
    return total


def _yaml_words(problem: str) -> tuple[str, str]:
    """An operator's words for the YAML reader's."""
    if "'\\t'" in problem or "tab" in problem:
        return "a tab cannot indent YAML", "use spaces"
    if "mapping values are not allowed" in problem:
        return (
            "a `:` stands where no key can be",
            "indent the line like its neighbours, or put the text in quotes",
        )
    if "could not find expected ':'" in problem:
        return "this key has no `:`", "write `key: value`"
    if "expected <block end>" in problem or "did not find expected key" in problem:
        return "the indentation does not fit the lines above", "line it up with its neighbours"
    if "expected ',' or" in problem:
        return (
            "a list or object in brackets is not closed before this",
            "close it, or put a `,` between its parts",
        )
    if "end of stream" in problem:
        return "a quote is not closed before the file ends", "close it"
    return f"is not valid YAML: {problem}", "check quotes, brackets and indentation"
