"""pydantic's findings in an operator's words, each at a path of the document."""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from lab.topology.check_schema import CHECK_KINDS
from lab.topology.schema import Topology
from lab.topology.source import DocumentPath, fit, step
from lab.topology.suggest import closest, hint_for
from lab.topology.values import REFUSED, show


@dataclass(frozen=True, slots=True)
class Finding:
    """One problem at a path; at_key places it at the key instead of the value.

    extra: the path is an unknown key. missing: it is a key that is not there. means: the missing key that an
    unknown one most likely stands for.
    """

    path: DocumentPath
    message: str
    hint: str = ""
    at_key: bool = False
    extra: bool = False
    missing: bool = False
    means: str = ""


def findings(error: ValidationError, data: object) -> list[Finding]:
    """What pydantic found in `data`, in our words.

    A key that is missing because it is misspelt beside is one mistake: the unknown key alone is reported.
    """
    details = error.errors(include_url=False)
    missing = {fit(d["loc"], data, keep_last=True) for d in details if d["type"] == "missing"}
    found = [_finding(detail, data, missing) for detail in details]
    meant = {(*one.path[:-1], one.means) for one in found if one.means}
    return [one for one in found if not (one.missing and one.path in meant)]


def _finding(detail: ErrorDetails, data: object, missing: set[DocumentPath]) -> Finding:
    kind = detail["type"]
    at_key = bool(detail["loc"]) and detail["loc"][-1] == "[key]"
    path = fit(detail["loc"], data, keep_last=kind == "missing")
    context = detail.get("ctx") or {}
    if kind == REFUSED:
        return Finding(path, context["words"], context["hint"], at_key)
    if kind == "extra_forbidden":
        absent = [str(one[-1]) for one in missing if one[:-1] == path[:-1]]
        means = closest(str(path[-1]), absent) or ""
        hint = f"did you mean {means}?" if means else _hint_for_key(path, data)
        return Finding(path, "unknown key", hint, at_key=True, extra=True, means=means)
    if kind == "missing" and isinstance(detail["loc"][-1], int):
        return Finding(path, "names one thing where two belong", "write [first, second]")
    if kind == "missing":
        return Finding(path, "is missing", _hint_for_missing(path, data), missing=True)
    message, hint = _plain_words(kind, context, detail.get("input"))
    return Finding(path, message, hint, at_key)


def _plain_words(kind: str, context: Mapping[str, Any], given: object) -> tuple[str, str]:
    """(message, hint) of pydantic's own error types."""
    if kind in ("string_type", "string_sub_type"):
        if isinstance(given, int | float):
            return f"{show(given)} is not text", f'put it in quotes: "{show(given)}"'
        return f"{show(given)} is not text", "write a word"
    if kind in ("int_type", "int_from_float", "int_parsing"):
        return f"{show(given)} is not a whole number", "write digits only, without quotes"
    if kind == "bool_type":
        return f"{show(given)} is neither true nor false", "write true or false"
    if kind in ("model_type", "model_attributes_type", "dict_type"):
        return (
            f"{show(given)} stands where an object is needed",
            "write keys and values below it, or {key: value}",
        )
    if kind in ("list_type", "tuple_type"):
        return f"{show(given)} stands where a list is needed", "write [a, b]"
    if kind == "literal_error":
        known = str(context["expected"]).replace("'", "").replace(" or ", ", ").split(", ")
        guess = closest(str(given), known)
        hint = f"did you mean {guess}?" if guess else "write one of them"
        return f"{show(given)} is not one of {', '.join(known)}", hint
    if kind in ("greater_than_equal", "less_than_equal"):
        bound = context["ge"] if "ge" in context else context["le"]
        word = "below the smallest" if "ge" in context else "above the largest"
        return (
            f"{show(given)} is {word}, {bound}",
            f"write {bound} or {'more' if 'ge' in context else 'less'}",
        )
    if kind == "too_short":
        return "the list is empty", "write one at least"
    if kind == "too_long":
        return f"the list is too long: {context.get('max_length')} at most", "take the rest out"
    if kind == "string_too_long":
        return "the text is too long", f"write at most {context.get('max_length')} characters"
    if kind in ("union_tag_not_found", "union_tag_invalid"):
        return "says not what to check", f"begin with one of the keys {', '.join(CHECK_KINDS)}"
    return f"{show(given)} cannot stand here", "see `edgelab schema` for what can"


def _hint_for_missing(path: DocumentPath, data: object) -> str:
    """What the missing key is, from its description."""
    model = _model_at(path[:-1], data)
    found = _fields(model).get(str(path[-1])) if path else None
    if found is None:
        return f"add `{path[-1]}`" if path else "see `edgelab schema` for what belongs here"
    example = f", for example {_example(found.examples[0])}" if found.examples else ""
    return f"add `{path[-1]}`: {(found.description or '').rstrip('.')}{example}"


def _example(value: object) -> str:
    return f"[{', '.join(map(str, value))}]" if isinstance(value, list) else str(value)


def _hint_for_key(path: DocumentPath, data: object) -> str:
    model = _model_at(path[:-1], data)
    return hint_for(str(path[-1]), _fields(model)) if model is not None else ""


def _model_at(path: DocumentPath, data: object) -> type[BaseModel] | None:
    """The model that describes the object at `path`, found by walking the annotations."""
    here: Any = Topology
    value: Any = data
    for part in path:
        value = step(value, part)
        if isinstance(here, type) and issubclass(here, BaseModel):
            found = _fields(here).get(str(part))
            here = found.annotation if found is not None else None
        else:
            arguments = typing.get_args(here)
            here = arguments[-1] if arguments else None
        here = _bare(here, value)
    return here if isinstance(here, type) and issubclass(here, BaseModel) else None


def _bare(annotation: Any, value: object) -> Any:
    """An annotation without Annotated and None; of a union of checks the one that `value` names.

    A lone object in the place of a list (OneOrMany) is one of its elements.
    """
    while True:
        origin = typing.get_origin(annotation)
        if origin is typing.Annotated or (origin is list and isinstance(value, dict)):
            annotation = typing.get_args(annotation)[0]
        elif origin in (typing.Union, types.UnionType):
            choices = [_bare(one, value) for one in typing.get_args(annotation) if one is not type(None)]
            keys = value if isinstance(value, dict) else {}
            named = [one for one in choices if any(k in CHECK_KINDS and k in keys for k in _fields(one))]
            annotation = (named or choices)[0]
        else:
            return annotation


def _fields(annotation: Any) -> Mapping[str, Any]:
    """The keys of a model, as a file writes them."""
    is_model = isinstance(annotation, type) and issubclass(annotation, BaseModel)
    fields = annotation.model_fields if is_model else {}
    return {field.alias or name: field for name, field in fields.items()}
