"""How the C extensions of `edge.fastpath` are built: cffi in API mode, so that the C compiler checks every
declaration.

setup.py names this module (cffi_modules). The declarations are cut out of the headers in csrc, between
the marks "cdef begin" and "cdef end"; there is no second copy that could drift. Each extension carries a
hash of its sources (`edge_<name>_sources`), by which a test notices a stale build. They need a C compiler
and Python's headers, nothing else: no library, no clang.

    python3 setup.py build_ext --inplace        # all of them, in a source tree
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import NamedTuple

from cffi import FFI

CSRC = Path(__file__).resolve().parents[2] / "csrc"
FLAGS = ("-O2", "-std=gnu11", "-Wall", "-Wextra")
_DECLARATIONS = re.compile(r"/\* cdef begin \*/(.*?)/\* cdef end \*/", re.DOTALL)


# Not a dataclass: setuptools runs this file without making a module of it, which dataclasses need.
class Extension(NamedTuple):
    """One extension module `edge.fastpath._<name>`, from files of csrc.

    headers: what Python may call; they hold the cdef marks, and each is included. sources: what is compiled.
    shared: other headers that these include.
    """

    name: str
    headers: tuple[str, ...]
    sources: tuple[str, ...]
    shared: tuple[str, ...] = ()
    flags: tuple[str, ...] = FLAGS
    libraries: tuple[str, ...] = ()

    def declarations(self) -> str:
        """What Python may call, as C declarations."""
        return "".join("".join(_DECLARATIONS.findall((CSRC / name).read_text())) for name in self.headers)

    def source_hash(self) -> str:
        """SHA-256 over names and contents of all that it is built from, in hexadecimal."""
        digest = hashlib.sha256()
        for name in (*self.headers, *self.sources, *self.shared):
            digest.update(name.encode() + b"\0" + (CSRC / name).read_bytes() + b"\0")
        return digest.hexdigest()

    def builder(self) -> FFI:
        """The description that cffi compiles."""
        ffi = FFI()
        ffi.cdef(self.declarations())
        ffi.set_source(
            f"edge.fastpath._{self.name}",
            "".join(f'#include "{name}"\n' for name in self.headers),
            sources=[f"csrc/{name}" for name in self.sources],
            include_dirs=["csrc"],
            depends=[f"csrc/{name}" for name in (*self.headers, *self.shared)],
            define_macros=[("EDGE_SOURCES", f'"{self.source_hash()}"')],
            extra_compile_args=list(self.flags),
            libraries=list(self.libraries),
        )
        return ffi


NATIVE = Extension(
    "native", ("frame.h", "native.h"), ("frame.c", "native.c"), ("tags.h", "policer.h", "mark.h")
)
PACKET_CORE = ("octets.h", "parse.h", "classify.h", "rewrite.h")
LANES_AVX2 = (
    "lanes_vector.h",
    "lanes_read.h",
    "lanes_sort.h",
    "lanes_rows.h",
    "lanes_tables.h",
    "lanes_verdicts.h",
)

CLASSIFY = Extension(
    "classify",
    ("policy.h", "parse.h", "lanes.h"),
    ("classify.c", "lanes_avx2.c"),
    ("octets.h", "classify.h", "rewrite.h", "linear.h", *LANES_AVX2),
    ("-O3", *FLAGS[1:]),
)

PCAP = Extension(
    "pcap",
    ("capture.h", "pcap.h"),
    ("capture.c", "pcap.c", "classify.c", "lanes_avx2.c"),
    ("lanes.h", "linear.h", "policy.h", *PACKET_CORE, *LANES_AVX2),
    ("-O3", *FLAGS[1:]),
)

IMPAIR = Extension(
    "impair",
    ("impair.h", "schedule.h", "wires.h", "impairtest.h"),
    ("wires.c", "impairtest.c"),
    ("pace.h", "policer.h", "turnout.h"),
)

RING = Extension(
    "ring",
    ("impair.h", "schedule.h", "ring.h"),
    ("ring.c", "ringio.c", "ringcontrol.c", "ringmark.c", "ringstage.c"),
    (
        "ringcut.h",
        "ringengine.h",
        "ringframe.h",
        "ringmark.h",
        "ringtables.h",
        "tags.h",
        "policer.h",
        "policy.h",
        *PACKET_CORE,
        "mark.h",
        "pace.h",
    ),
)

STREAMS = Extension(
    "streams", ("streams.h",), ("streams.c", "streamsrun.c", "streamsio.c"), ("streamsengine.h",)
)

EXTENSIONS = (NATIVE, CLASSIFY, PCAP, IMPAIR, RING, STREAMS)
"""All extensions; setup.py builds them in this order."""

native = NATIVE.builder
classify = CLASSIFY.builder
pcap = PCAP.builder
impair = IMPAIR.builder
ring = RING.builder
streams = STREAMS.builder
