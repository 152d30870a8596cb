"""A lab that another version of edgelab keeps is refused in words, before anything is asked of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from edge.errors import UsageError
from lab.client import Client
from lab.protocol import PROTOCOL_VERSION
from lab.state import RunDirectory


class Speaking(Client):
    """A client whose supervisor says this of itself."""

    def __init__(self, hello: dict[str, Any]) -> None:
        self.directory = RunDirectory(Path("/nowhere/contoso"))
        self.hello = hello

    def request(self, verb: str, *_: Any, **__: Any) -> dict[str, Any]:
        assert verb == "hello"
        return self.hello


def test_the_same_protocol_is_taken() -> None:
    hello = {"protocol": PROTOCOL_VERSION, "edgelab": "0.1.0"}
    assert Speaking(hello).agree() is hello


@pytest.mark.parametrize("protocol", [PROTOCOL_VERSION - 1, PROTOCOL_VERSION + 1, None])
def test_another_protocol_is_refused_with_a_way_out(protocol: int | None) -> None:
    with pytest.raises(
        UsageError, match=r"lab contoso was started by edgelab 0\.0\.9.*destroy it and deploy again"
    ):
        Speaking({"protocol": protocol, "edgelab": "0.0.9"}).agree()
