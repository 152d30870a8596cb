"""The C extension as cffi makes it: declarations are those of csrc/capture.h and csrc/pcap.h."""

from typing import Any

ffi: Any
lib: Any
