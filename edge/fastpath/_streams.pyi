"""The C extension as cffi makes it: declarations are those of csrc/streams.h."""

from typing import Any

ffi: Any
lib: Any
