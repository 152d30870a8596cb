"""What all tests share: nothing is left behind, and no test is skipped unnoticed."""

from __future__ import annotations

pytest_plugins = (
    "tests.leakguard",
    "tests.skips",
    "tests.kernels",
    "tests.share",
    "tests.results",
    "tests.again",
    "pytester",
)
