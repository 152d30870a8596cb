"""Which frames a capture keeps, and what it says of each and of the places: tags, filter, class, verdict."""

from __future__ import annotations

from collections.abc import Sequence

from lab.capture import Frame
from lab.captureplaces import Wanted
from lab.framefilter import compile_filter, with_tags
from lab.model import LabModel
from lab.vantage import Vids
from lab.verdicts import Judge, verdict_words


class Sifting:
    """Implements lab.recording.Sift for places of a lab.

    expression: of tcpdump's language, about what is behind the tags. tags: keep only frames whose tags begin
    with one of these. verdict: say of each frame what the fast path decides. Raises UsageError for a wrong
    expression, CapabilityError without what compiles or judges.
    """

    def __init__(
        self,
        model: LabModel,
        wanted: Sequence[Wanted],
        *,
        expression: str = "",
        tags: Sequence[Vids] = (),
        verdict: bool = False,
    ) -> None:
        self._wanted = tuple(wanted)
        self._judge = Judge(model, [item.place for item in wanted])
        self._verdict = verdict
        self._judged = verdict or any(item.class_name for item in wanted)
        self._tests = [with_tags(tags)] if tags else []
        self._tests += [compile_filter(expression)] if expression else []
        words = ["tags " + " or ".join("/".join(map(str, one)) or "none" for one in tags)] if tags else []
        self._kept = [*words, *([expression] if expression else [])]

    def __call__(self, frames: Sequence[Frame]) -> list[tuple[Frame, str]]:
        """The frames that meet all that was asked, with the verdict where it was asked for."""
        left = [one for one in frames if all(keeps(one.data, one.length) for keeps in self._tests)]
        if not self._judged:
            return [(frame, "") for frame in left]
        kept = []
        for frame, judgement in zip(left, self._judge.judge(left), strict=True):
            class_name = self._wanted[frame.place].class_name
            if class_name in ("", judgement.class_name):
                kept.append((frame, verdict_words(judgement) if self._verdict else ""))
        return kept

    def kept(self, place: int) -> str:
        """Which frames of a place are kept, in words; empty for all."""
        class_name = self._wanted[place].class_name
        return " and ".join([*([f"class {class_name}"] if class_name else []), *self._kept])

    def about(self, place: int) -> str:
        """What the place is: its link, its side, its peerings."""
        return self._judge.vantages[place].comment
