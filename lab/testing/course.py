"""One test's way with its lab: begin to measure, let things go wrong, judge, mend, compare."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path

from edge.errors import EdgeError
from lab.api import Fault
from lab.testing.condition import BY_ITSELF_S, in_words, wait_for
from lab.testing.evidence import folder_for, gather
from lab.testing.house import Habits, Held, Shelf
from lab.testing.meter import Meter, broken
from lab.testing.wishes import Budget, FaultWish


class Course:
    """Made when a test has got its lab; the methods are called in the order in which they stand here."""

    def __init__(
        self,
        test: str,
        held: Held,
        shelf: Shelf,
        habits: Habits,
        faults: Sequence[FaultWish],
        budgets: Sequence[Budget],
    ) -> None:
        """test: its node id."""
        assert held.lab is not None
        self.lab = held.lab
        self.folder: Path | None = None
        self.failed = False
        self._test, self._held, self._shelf, self._habits = test, held, shelf, habits
        self._faults, self._budgets = tuple(faults), tuple(budgets)
        self._meters: list[Meter] = []
        self._injected: list[Fault] = []
        self._recording = contextlib.ExitStack()
        folder = folder_for(habits.evidence, test)
        self._capture = folder.with_name(f"{folder.name}.recording")

    def prepare(self) -> None:
        """Begin to record, where that is asked for. Raises EdgeError."""
        if not self._habits.capture:
            return
        try:
            self._capture.parent.mkdir(parents=True, exist_ok=True)
            self._recording.enter_context(self.lab.capture(self._habits.capture, self._capture))
        except OSError as error:
            raise EdgeError(f"cannot record to {self._capture}: {error.strerror}") from error

    def begin(self) -> None:
        """Measure, then let go wrong what the markers say. Raises EdgeError."""
        for budget in self._budgets:
            self._meters.append(Meter(self.lab, budget))
        for fault in self._faults:
            self._injected.append(self.lab.fault(fault.kind, fault.target, **dict(fault.options)))
        for meter in self._meters:
            meter.test_begins()

    def judge(self) -> tuple[dict[str, str], tuple[str, ...]]:
        """(what was measured, by budget; in which points budgets were not kept). Empties the meters."""
        told: dict[str, str] = {}
        wrong: list[str] = []
        while self._meters:
            meter = self._meters.pop(0)
            found = meter.stop()
            told[str(meter.budget)] = str(found)
            wrong += broken(meter.budget, found)
        return told, tuple(wrong)

    def keep_evidence(self) -> Path:
        """Write down how the lab is now; the folder. Raises OSError."""
        self._recording.close()
        place = folder_for(self._habits.evidence, self._test)
        self.folder = gather(self.lab, place, self._test, self._capture)
        return self.folder

    def end(self, shared: bool) -> str:
        """Mend what the markers broke and compare; what the test has left different, in words.

        shared: other tests want the same lab. One that is not as it was is thrown away. Raises EdgeError
        when it cannot be looked at; it is thrown away then, too.
        """
        try:
            for meter in self._meters:
                meter.stop(at_once=True)
            self._recording.close()
            left = self._mend(shared)
            if left and not self.failed and self.lab.running:
                left += self._evidence_kept()
        except BaseException:
            self._shelf.throw_away(self._held)
            raise
        finally:
            if self._habits.capture:
                self._capture.unlink(missing_ok=True)
        if left:
            self._shelf.throw_away(self._held)
        return left

    def _evidence_kept(self) -> str:
        """Keep evidence; empty, or why there is none, as a line of its own."""
        try:
            self.keep_evidence()
        except OSError as error:
            return f"\nevidence could not be written: {error}"
        return ""

    def _mend(self, shared: bool) -> str:
        if not self.lab.running:
            return f"{self._test} has destroyed the lab that it shares with others" if shared else ""
        if self._injected:
            for fault in reversed(self._injected):
                fault.heal()
        if not shared and not self._injected:
            return ""
        assert self._held.condition is not None
        # After a failure a new lab is quicker than patience.
        patience_s = BY_ITSELF_S if self.failed else self._habits.wait_s
        now, left = wait_for(self.lab, self._held.condition, patience_s)
        if left:
            return f"{self._test} left the lab different:\n{in_words(left)}"
        self._held.condition = now
        return ""
