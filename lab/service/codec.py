"""States and commands as JSON and back, the same after a round trip.

The shape follows the dataclasses: a class is an object with its fields, a table an object by name, a tuple
a list, a network its text. A state stands in an envelope with a version; a command carries its class's name
as `command`. What comes in is checked whole, types, unknown and missing keys, and for a state also
that everything it names is there.
"""

from __future__ import annotations

import dataclasses
import functools
import types
import typing
from collections.abc import Mapping
from ipaddress import IPv4Network, IPv6Network
from typing import Any, Literal, Union

from edge.errors import InputError, Problem
from lab.service import commands
from lab.service.consistency import contradictions
from lab.service.state import State

VERSION = 1
"""Of the envelope; a reader refuses every other."""

COMMANDS: dict[str, type] = {one.__name__: one for one in typing.get_args(commands.Command)}
"""Class of a command by its name."""


class _WrongError(Exception):
    """A value that does not fit, with the place in the document where it stands."""

    def __init__(self, place: str, words: str) -> None:
        super().__init__(words)
        self.place, self.words = place, words


def encode_state(state: State) -> dict[str, Any]:
    """The envelope of a state, plain JSON data."""
    return {"version": VERSION, "state": encode(state)}


def decode_state(document: object, name: str = "state") -> State:
    """The state of an envelope. Raises InputError with what is wrong; `name` stands for the file."""
    try:
        if not isinstance(document, dict) or document.get("version") != VERSION:
            raise _WrongError("version", f"only version {VERSION} of a state can be read")
        if set(document) != {"version", "state"}:
            raise _WrongError("", "an envelope has version and state and nothing else")
        state: State = _decode(State, document["state"], "state")
    except _WrongError as error:
        raise InputError([Problem(name, 0, 0, error.place, error.words)]) from None
    found = contradictions(state)
    if found:
        raise InputError(Problem(name, 0, 0, "state", words) for words in found)
    return state


def encode_command(command: commands.Command) -> dict[str, Any]:
    """A command as plain JSON data."""
    return {"command": type(command).__name__, **encode(command)}


def decode_command(document: object, name: str = "command") -> commands.Command:
    """The command of such data. Raises InputError when it is none."""
    try:
        if not isinstance(document, dict) or document.get("command") not in COMMANDS:
            raise _WrongError("command", f"write one of {', '.join(COMMANDS)}")
        fields = {key: value for key, value in document.items() if key != "command"}
        decoded: commands.Command = _decode(COMMANDS[document["command"]], fields, "")
    except _WrongError as error:
        raise InputError([Problem(name, 0, 0, error.place, error.words)]) from None
    return decoded


def encode(value: object) -> Any:
    """Any part of a state as plain JSON data."""
    if dataclasses.is_dataclass(value):
        return {one.name: encode(getattr(value, one.name)) for one in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {name: encode(one) for name, one in value.items()}
    if isinstance(value, tuple):
        return [encode(one) for one in value]
    return str(value) if isinstance(value, IPv4Network | IPv6Network) else value


@functools.cache
def _fields(kind: type) -> dict[str, tuple[Any, bool]]:
    """Field -> (its type, whether it must be there)."""
    hints = typing.get_type_hints(kind)
    return {
        one.name: (
            hints[one.name],
            one.default is dataclasses.MISSING and one.default_factory is dataclasses.MISSING,
        )
        for one in dataclasses.fields(kind)
    }


def _decode(kind: Any, value: object, place: str) -> Any:
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        return _object(kind, value, place)
    if origin in (Union, types.UnionType):
        return _one_of(arguments, value, place)
    if origin is Literal:
        if not any(value == one and type(value) is type(one) for one in arguments):
            raise _WrongError(place, f"{value!r} is none of {', '.join(map(str, arguments))}")
        return value
    if origin is tuple:
        return _tuple(arguments, value, place)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        if not isinstance(value, dict):
            raise _WrongError(place, "an object is expected")
        return {
            _decode(arguments[0], name, place): _decode(arguments[1], one, f"{place}.{name}")
            for name, one in value.items()
        }
    if kind in (IPv4Network, IPv6Network):
        try:
            if isinstance(value, str) and "/" in value:
                return kind(value)
        except ValueError:
            pass
        raise _WrongError(place, f"{value!r} is no IPv{kind(0).version} prefix")
    if type(value) is not kind:
        raise _WrongError(place, f"{value!r} is not of type {kind.__name__}")
    return value


def _object(kind: type, value: object, place: str) -> Any:
    fields = _fields(kind)
    if not isinstance(value, dict):
        raise _WrongError(place, "an object is expected")
    for name in value:
        if name not in fields:
            raise _WrongError(f"{place}.{name}".lstrip("."), f"{kind.__name__} has no such field")
    missing = [name for name, (_, needed) in fields.items() if needed and name not in value]
    if missing:
        raise _WrongError(place, f"{kind.__name__} lacks {', '.join(missing)}")
    return kind(
        **{name: _decode(fields[name][0], one, f"{place}.{name}".lstrip(".")) for name, one in value.items()}
    )


def _one_of(kinds: tuple[Any, ...], value: object, place: str) -> Any:
    if value is None and type(None) in kinds:
        return None
    wrong: list[_WrongError] = []
    for kind in kinds:
        if kind is not type(None):
            try:
                return _decode(kind, value, place)
            except _WrongError as error:
                wrong.append(error)
    raise wrong[0]


def _tuple(kinds: tuple[Any, ...], value: object, place: str) -> tuple[Any, ...]:
    if not isinstance(value, list):
        raise _WrongError(place, "a list is expected")
    if len(kinds) == 2 and kinds[1] is Ellipsis:
        return tuple(_decode(kinds[0], one, f"{place}[{number}]") for number, one in enumerate(value))
    if len(value) != len(kinds):
        raise _WrongError(place, f"a list of {len(kinds)} is expected")
    return tuple(
        _decode(kind, one, f"{place}[{number}]")
        for number, (kind, one) in enumerate(zip(kinds, value, strict=True))
    )
