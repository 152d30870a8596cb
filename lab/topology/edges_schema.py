"""A site's edge routers in a topology file: the lab's own, or a user's with a configuration of its own."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from edge.model import OwnRouting
from lab.topology.part import Part
from lab.topology.values import Name, refuse

LAB = "bird"
"""The lab's own kind of router."""


class OwnConfig(Part):
    """A configuration written out: what its file is called, and what is in it."""

    file: str = Field(description="What messages call it.")
    text: str = Field(description="The configuration.")


def _text_alone(value: object) -> object:
    # With a line end it can be no path: the configuration itself stands in the topology.
    if isinstance(value, str) and "\n" in value:
        return {"file": "config", "text": value}
    return value


class Edge(Part):
    """An edge router by name."""

    name: Name = Field(description="The router's name, for commands and checks.")
    router: Literal["bird", "frr"] = Field(
        default="bird",
        description="Who routes: bird, which the lab configures as ordered, or frr by a file of yours.",
    )
    config: Annotated[str | OwnConfig, BeforeValidator(_text_alone)] | None = Field(
        default=None,
        description="FRR's configuration: a file, its path seen from this one, or the text itself. "
        "The lab makes interfaces and addresses; all routing is what is written there.",
        examples=["ce2.frr.conf"],
    )

    @model_validator(mode="after")
    def _configured(self) -> Edge:
        if self.router == LAB and self.config is not None:
            refuse(
                f"{self.name} is a router of the lab's, which writes its configuration itself",
                "add router: frr, or take config out",
            )
        if self.router != LAB and self.config is None:
            refuse(
                f"{self.name} has no configuration",
                f"add config: {self.name}.{self.router}.conf, a file beside this one",
            )
        return self

    @model_serializer(mode="wrap")
    def _as_written(self, handler: SerializerFunctionWrapHandler) -> Any:
        return self.name if self.router == LAB else handler(self)

    @property
    def own(self) -> OwnRouting | None:
        """Whose routing it is when it is not the lab's."""
        if isinstance(self.config, OwnConfig):
            return OwnRouting(self.router, self.config.text, self.config.file)
        return None


def _name_alone(value: object) -> object:
    return value if isinstance(value, dict) else {"name": value}


EdgeRouter = Annotated[Edge, BeforeValidator(_name_alone)]
