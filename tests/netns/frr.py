"""Tests that need FRR, of Debian's package; `make test` installs it."""

from __future__ import annotations

import shutil

import pytest

from edge.frr.programs import DIRECTORIES

needs_frr = pytest.mark.skipif(
    shutil.which("bgpd", path=":".join(DIRECTORIES)) is None,
    reason="FRR is not installed: apt-get install frr",
)
