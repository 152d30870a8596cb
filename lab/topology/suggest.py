"""Did you mean: see edge.document.suggest."""

from edge.document.suggest import closest, hint_for

__all__ = ["closest", "hint_for"]
