"""YAML text to a tree of values that know their place: see edge.document.tree."""

from edge.document.tree import WHOLE_FILE, Mark, Reader, Value, mark_of

__all__ = ["WHOLE_FILE", "Mark", "Reader", "Value", "mark_of"]
