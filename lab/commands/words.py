"""Words of the command line as values of the service's commands: one click type per kind of field."""

from __future__ import annotations

import re
import types
import typing
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import TYPE_CHECKING, Any, Literal, Union

import click

from lab.service.resources import MacSec

if TYPE_CHECKING:
    _Word = click.ParamType[Any]
    _Choice = click.Choice[Any]
else:
    # Only newer versions of click have these as generics.
    _Word, _Choice = click.ParamType, click.Choice

BANDWIDTHS = ("bandwidth_mbps", "mbps")
"""Fields in Mbit/s, which people write with a unit."""


class Bandwidth(_Word):
    """`200M`, `10G`, or a number of Mbit/s."""

    name = "rate"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Mbit/s. Fails as click does, with exit status 2."""
        found = re.fullmatch(r"(\d{1,9})([MG]?)", str(value).strip(), re.IGNORECASE)
        if found is None:
            self.fail(f"{value!r} is no bandwidth; write one such as 200M or 10G", param, ctx)
        return int(found[1]) * (1000 if found[2].upper() == "G" else 1)


class Prefix(_Word):
    """A prefix, of one IP version where the field has one."""

    name = "prefix"

    def __init__(self, kinds: tuple[type, ...]) -> None:
        self.kinds = kinds

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> IPv4Network | IPv6Network:
        """The network."""
        try:
            network = ip_network(str(value)) if "/" in str(value) else None
        except ValueError as error:
            self.fail(f"{error}; write one such as 10.50.0.0/16", param, ctx)
        if network is None or not isinstance(network, self.kinds):
            example = "10.50.0.0/16" if IPv4Network in self.kinds else "fd00:15::/125"
            self.fail(f"{value!r} is no prefix that fits here; write one such as {example}", param, ctx)
        return network


class CommunityWord(_Word):
    """`12076:20001`, or `none`."""

    name = "community"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, int] | None:
        """The community, None for `none`."""
        if value == "none":
            return None
        found = re.fullmatch(r"(\d{1,5}):(\d{1,5})", str(value))
        if found is None:
            self.fail(f"{value!r} is no community; write one such as 12076:20001, or none", param, ctx)
        return int(found[1]), int(found[2])


class MacSecWord(_Word):
    """`CKN,CAK[,CIPHER[,SCI]]`, or `none`."""

    name = "macsec"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> MacSec | None:
        """The configuration, None for `none`."""
        if value == "none":
            return None
        words = str(value).split(",")
        if not 2 <= len(words) <= 4:
            self.fail(f"{value!r} is not CKN,CAK[,CIPHER[,SCI]]", param, ctx)
        hints = typing.get_type_hints(MacSec)
        chosen = [
            choice_of(hints[name]).convert(word, param, ctx)
            for name, word in zip(("cipher", "sci"), words[2:], strict=False)
        ]
        return MacSec(words[0], words[1], *chosen)


class OnOff(_Word):
    """`on` or `off`."""

    name = "on|off"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> bool:
        """True for on."""
        if value not in ("on", "off", True, False):
            self.fail(f"{value!r} is neither on nor off", param, ctx)
        return value in ("on", True)


class OneOf(_Choice):
    """A choice, in any case, of words or of numbers."""

    def __init__(self, values: tuple[Any, ...]) -> None:
        self.values = {str(value): value for value in values}
        super().__init__(list(self.values), case_sensitive=False)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The value as the command has it."""
        return self.values[super().convert(str(value), param, ctx)]


def choice_of(kind: Any) -> OneOf:
    """The choice of a Literal."""
    return OneOf(typing.get_args(kind))


def is_many(kind: Any) -> bool:
    """Whether a field takes any number of values."""
    return typing.get_origin(kind) is tuple and typing.get_args(kind)[-1] is Ellipsis


def bare(kind: Any) -> Any:
    """A field's annotation without None and without the tuple around many."""
    if is_many(kind):
        return typing.get_args(kind)[0]
    if typing.get_origin(kind) in (Union, types.UnionType):
        left = tuple(one for one in typing.get_args(kind) if one is not type(None))
        return left[0] if len(left) == 1 else Union[left]  # noqa: UP007 - of a tuple made here
    return kind


def word_of(field: str, kind: Any) -> _Word:
    """The click type of a field. Raises TypeError for an annotation that no field has."""
    inner = bare(kind)
    if field in BANDWIDTHS:
        return Bandwidth()
    if inner is bool:
        return OnOff()
    if inner in (str, int):
        return click.STRING if inner is str else click.INT
    if inner is MacSec:
        return MacSecWord()
    if typing.get_origin(inner) is Literal:
        return choice_of(inner)
    if typing.get_origin(inner) is tuple:
        return CommunityWord()
    networks = typing.get_args(inner) or (inner,)
    if set(networks) <= {IPv4Network, IPv6Network}:
        return Prefix(networks)
    raise TypeError(f"no word of the command line can be a {kind} ({field})")
