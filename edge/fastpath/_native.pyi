"""The C extension as cffi makes it: declarations are those of csrc/frame.h and csrc/native.h."""

from typing import Any

ffi: Any
lib: Any
