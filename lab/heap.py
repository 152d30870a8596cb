"""The C library's heap in a process that lives long and has a thread for each request."""

from __future__ import annotations

import ctypes

_M_ARENA_MAX = -8
"""As <malloc.h> has it."""

ARENAS = 2


def few_arenas() -> None:
    """Have all threads share ARENAS heaps; nothing where the C library has no such thing (musl).

    glibc gives new threads heaps of their own, up to eight a processor, and keeps what each once took: a lab
    with some thousand requests behind it would hold tens of mebibytes that nobody uses.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_ARENA_MAX, ARENAS)
