"""The C extension as cffi makes it: declarations are those of csrc/policy.h, parse.h and lanes.h."""

from typing import Any

ffi: Any
lib: Any
