"""Small pieces of text that the reports share. Pure."""

from __future__ import annotations

_UNITS = ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s"))
"""Seconds and name of a unit, and of the one that the rest is told in."""


def duration(seconds: float | None) -> str:
    """Seconds as people say it: `0.3 s`, `42 s`, `3 min 5 s`, `2 h 1 min`, `4 d 2 h`; empty for None."""
    if seconds is None:
        return ""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    for size, name, smaller, smaller_name in _UNITS:
        if whole >= size:
            return f"{whole // size} {name} {whole % size // smaller} {smaller_name}"
    return f"{whole} s"


def visible(text: str) -> str:
    """The text with control characters written out (`\\x1b`), so that none reaches a terminal or a file.

    Line ends and tabs stay; surrogates and the two code points that no text may hold are written out.
    """
    return "".join(character if _plain(character) else _escaped(character) for character in text)


def _plain(character: str) -> bool:
    code = ord(character)
    if character in "\n\t":
        return True
    return (
        code >= 0x20
        and not 0x7F <= code <= 0x9F
        and not 0xD800 <= code <= 0xDFFF
        and code not in (0xFFFE, 0xFFFF)
    )


def _escaped(character: str) -> str:
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
