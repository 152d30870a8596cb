"""What the file may say about checks of whole sets: routes, and the communities of one."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, Strict, model_validator

from lab.topology.part import Part
from lab.topology.values import CommunityText, HostAddress, Prefix, refuse


def _prefix_alone(value: object) -> object:
    return {"prefix": value} if isinstance(value, str) else value


def _string_or(schema: dict[str, Any]) -> None:
    options = schema.get("anyOf")
    part = options[0] if isinstance(options, list) else schema
    part["items"] = {"anyOf": [{"type": "string"}, part["items"]]}


class WantedRouteSpec(Part):
    """A route of a set: a prefix, and what its route must have."""

    prefix: Prefix = Field(description="The prefix.", examples=["10.50.0.0/16"])
    as_path: list[int] | None = Field(default=None, description="The exact AS path.", examples=[[12076]])
    next_hop: HostAddress | None = Field(
        default=None, description="One of its next hops.", examples=["192.168.15.2"]
    )
    communities: list[CommunityText] = Field(
        default_factory=list, description="Communities it carries at least.", examples=[["12076:5030"]]
    )


RouteSet = list[Annotated[WantedRouteSpec, BeforeValidator(_prefix_alone)]]


class RoutesCheckSpec(Part):
    """A router's routes from BGP: exactly these, at least these, none of these."""

    routes: str = Field(description="The router, or one of its routing domains.", examples=["ce1"])
    circuit: str | None = Field(
        default=None,
        description="All routes that it accepted over this circuit; when left out, those that it chose "
        "among all of BGP.",
    )
    peering: Literal["private", "microsoft"] | None = Field(
        default=None, description="Of this peering of the circuit only."
    )
    family: Literal[4, 6] | None = Field(default=None, description="IP version; both when left out.")
    exact: RouteSet | None = Field(
        default=None,
        description="These and no others.",
        examples=[["10.50.0.0/16"]],
        json_schema_extra=_string_or,
    )
    contains: RouteSet = Field(
        default_factory=list,
        description="These at least.",
        examples=[[{"prefix": "10.50.0.0/16", "as_path": [12076], "next_hop": "192.168.15.2"}]],
        json_schema_extra=_string_or,
    )
    lacks: RouteSet = Field(
        default_factory=list,
        description="None of these.",
        examples=[["0.0.0.0/0"]],
        json_schema_extra=_string_or,
    )

    @model_validator(mode="after")
    def _asks(self) -> RoutesCheckSpec:
        if self.exact is None and not self.contains and not self.lacks:
            refuse("the check names no route", "add exact, contains or lacks")
        return self


class CommunitiesCheckSpec(Part):
    """The communities of a router's best route: exactly these, at least these, none of these."""

    communities: Annotated[tuple[str, Prefix], Strict(False)] = Field(description="[router, prefix]")
    exact: list[CommunityText] | None = Field(
        default=None, description="These and no others; [] for none at all.", examples=[["12076:5030"]]
    )
    contains: list[CommunityText] = Field(
        default_factory=list, description="These at least.", examples=[["12076:5030"]]
    )
    lacks: list[CommunityText] = Field(
        default_factory=list, description="None of these.", examples=[["12076:5010"]]
    )

    @model_validator(mode="after")
    def _asks(self) -> CommunitiesCheckSpec:
        if self.exact is None and not self.contains and not self.lacks:
            refuse("the check names no community", "add exact, contains or lacks")
        return self
