"""How `edge.fastpath._native` is built: cffi in API mode, so that the C compiler checks every declaration.

setup.py names this module (cffi_modules). The declarations are cut out of the headers in csrc, between
the marks "cdef begin" and "cdef end"; there is no second copy that could drift. The extension carries a
hash of its sources, by which a test notices a stale build. It needs a C compiler and Python's headers,
nothing else: no library, no clang.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from cffi import FFI

CSRC = Path(__file__).resolve().parents[2] / "csrc"
HEADERS = ("frame.h", "native.h")
SOURCES = ("frame.c", "native.c")
SHARED = ("tags.h", "policer.h")
FLAGS = ("-O2", "-std=gnu11", "-Wall", "-Wextra")
_DECLARATIONS = re.compile(r"/\* cdef begin \*/(.*?)/\* cdef end \*/", re.DOTALL)


def declarations() -> str:
    """What Python may call, as C declarations."""
    return "".join("".join(_DECLARATIONS.findall((CSRC / name).read_text())) for name in HEADERS)


def source_hash() -> str:
    """SHA-256 over names and contents of all that the extension is built from, in hexadecimal."""
    digest = hashlib.sha256()
    for name in (*HEADERS, *SOURCES, *SHARED):
        digest.update(name.encode() + b"\0" + (CSRC / name).read_bytes() + b"\0")
    return digest.hexdigest()


def builder() -> FFI:
    """The description of the extension that cffi compiles."""
    ffi = FFI()
    ffi.cdef(declarations())
    ffi.set_source(
        "edge.fastpath._native",
        "".join(f'#include "{name}"\n' for name in HEADERS),
        sources=[f"csrc/{name}" for name in SOURCES],
        include_dirs=["csrc"],
        depends=[f"csrc/{name}" for name in (*HEADERS, *SHARED)],
        define_macros=[("EDGE_SOURCES", f'"{source_hash()}"')],
        extra_compile_args=list(FLAGS),
    )
    return ffi
