"""Base of all objects of a topology file."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, ValidationInfo


class Part(BaseModel):
    """Base: unknown keys and guessed types are refused."""

    model_config = ConfigDict(extra="forbid", strict=True)


def is_strict(info: ValidationInfo) -> bool:
    """Whether the file says `strict: true` (see `validate`)."""
    return bool(info.context and info.context.get("strict"))
