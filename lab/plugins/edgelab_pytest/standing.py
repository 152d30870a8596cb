"""Whether `import lab` and `import edge` give edgelab's packages, without importing anything.

A project that is tested may have packages of these names. They are then that project's: Python has one module
of a name, and the project's own tests need theirs.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType

_KNOWN_BY = {"lab": "testing/house.py", "edge": "fastpath/build.py"}
"""Our packages, and a file that only ours have: a clone and an installation put them elsewhere."""


def in_the_way() -> str:
    """Why edgelab's own packages cannot be imported here, with the way out; empty when they can."""
    wrong = [words for name in _KNOWN_BY if (words := _wrong(name))]
    return "\n".join(wrong)


def ours(module: object) -> bool:
    """Whether a module `lab.something` that somebody has imported is edgelab's."""
    file = vars(module).get("__file__") if isinstance(module, ModuleType) else None
    return isinstance(file, str) and (Path(file).parent / _KNOWN_BY["lab"]).exists()


def _wrong(name: str) -> str:
    found, places = _found(name)
    if any(Path(place, _KNOWN_BY[name]).exists() for place in places):
        return ""
    if not found:
        return (
            f"edgelab: Python finds no package {name}: edgelab is installed by half; install it again, "
            "or put its clone on PYTHONPATH"
        )
    return (
        f"edgelab: `import {name}` finds {found} here, not edgelab's package {name}; "
        "so this test can have no lab\n"
        "  way out: rename that package; or keep the tests that take labs in a folder of their own and begin "
        "pytest there, so that it is not on Python's path"
    )


def _found(name: str) -> tuple[str, list[str]]:
    """(what `import NAME` gives, in words; folders of it when it is a package); ("", []) for nothing."""
    if name in sys.modules:
        module = sys.modules[name]
        known = vars(module) if isinstance(module, ModuleType) else {}
        places, file = known.get("__path__", ()), known.get("__file__")
    else:
        spec = importlib.util.find_spec(name)
        if spec is None:
            return "", []
        places, file = spec.submodule_search_locations or (), spec.origin
    folders = [str(place) for place in places] if isinstance(places, Iterable) else []
    return str(file or ", ".join(folders) or "something that a program put there"), folders
