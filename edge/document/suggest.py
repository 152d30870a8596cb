"""Did you mean: the known word that a wrong one most likely stands for."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def closest(word: str, known: Iterable[str]) -> str | None:
    """The known word nearest to `word`, or None when none is near. Case does not count."""
    by_fold = {one.casefold(): one for one in known}
    found = difflib.get_close_matches(word.casefold(), by_fold, n=1, cutoff=0.6)
    if not found:
        parts = [fold for fold in by_fold if len(word) > 2 and word.casefold() in fold]
        found = parts[:1]
    return by_fold[found[0]] if found else None


def hint_for(word: str, known: Iterable[str]) -> str:
    """`did you mean X?`, else the list of what there is (the first dozen)."""
    words = list(known)
    guess = closest(word, words)
    if guess is not None:
        return f"did you mean {guess}?"
    if not words:
        return "there is none"
    shown = ", ".join(words[:12])
    return f"there is {shown}" + (", ..." if len(words) > 12 else "")
