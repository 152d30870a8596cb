"""Which frames come to which marking: the maps `direct` and `named` of csrc/mark.h.

The first marking of a device and hook takes its place in `direct`, if it is free, and the last one gives it
back. Whoever has the place is reached there without hashing, and its tags are read only when it has markings
with tags. A device that found its place taken is in `named` with all it has.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from edge.fastpath import bpf
from edge.fastpath.layout import pack_index
from edge.fastpath.marklayout import NO_NAME, Name, direct_owner, direct_value, marking_key
from edge.net.objects.frames import Marking


@dataclass(slots=True)
class _Owner:
    """What a device has at a hook. direct: its place; untagged: its marking there; keys: in `named`."""

    direct: bool
    untagged: Name = NO_NAME
    keys: set[bytes] = field(default_factory=set)


class Names:
    """What leads frames to markings. Errors are OSError."""

    def __init__(self, direct: bpf.Map, named: bpf.Map, places: int) -> None:
        self._direct, self._named, self._places = direct, named, places
        self._owners: dict[int, _Owner] = {}
        self._taken: set[int] = set()

    def put(self, obj: Marking, index: int, name: Name) -> None:
        """Lead frames of the device to that marking, from now on or instead of to the one before."""
        number = direct_owner(index, obj.hook)
        owner = self._owners.get(number)
        if owner is None:
            owner = self._owners[number] = _Owner(number % self._places not in self._taken)
            if owner.direct:
                self._taken.add(number % self._places)
        if owner.direct and obj.outer is None:
            owner.untagged = name
        else:
            key = marking_key(obj, index)
            self._named.put(key, name.packed())
            owner.keys.add(key)
        if owner.direct:
            self._direct.put(self._place(number), self._value(number, owner))

    def drop(self, obj: Marking, index: int) -> None:
        """Lead frames there no longer; no matter whether `put` came to its end."""
        number = direct_owner(index, obj.hook)
        owner = self._owners[number]
        key = marking_key(obj, index)
        if owner.direct and obj.outer is None:
            owner.untagged = NO_NAME
        elif key in owner.keys:
            self._named.delete(key)
            owner.keys.remove(key)
        if owner.direct:
            self._direct.put(self._place(number), self._value(number, owner))
        if owner.untagged == NO_NAME and not owner.keys:
            del self._owners[number]
            if owner.direct:
                self._taken.remove(number % self._places)

    def intact(self, obj: Marking, index: int, name: Name) -> bool:
        """Whether frames find their way to that marking."""
        number = direct_owner(index, obj.hook)
        owner = self._owners[number]
        if owner.direct and self._direct.get(self._place(number)) != self._value(number, owner):
            return False
        if owner.direct and obj.outer is None:
            return owner.untagged == name
        return self._named.get(marking_key(obj, index)) == name.packed()

    def _place(self, number: int) -> bytes:
        return pack_index(number % self._places)

    def _value(self, number: int, owner: _Owner) -> bytes:
        if owner.untagged == NO_NAME and not owner.keys:
            return bytes(self._direct.value_size)
        name = Name(owner.untagged.number, owner.untagged.policy, bool(owner.keys))
        return direct_value(number, name)
