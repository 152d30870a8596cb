"""Progress of a deploy: one line that changes on a terminal, silence in a pipe."""

from __future__ import annotations

import sys
from typing import Any, TextIO

from edge.progress import LiveLine


class Progress:
    """Listens to the supervisor's messages. With `step` it asks the operator before each step."""

    def __init__(self, step: bool = False, stream: TextIO | None = None) -> None:
        """Tell `stream`, standard error when not given."""
        self._stream = stream if stream is not None else sys.stderr
        self._line = LiveLine(self._stream, live=not step)

    def __call__(self, message: dict[str, Any]) -> dict[str, Any] | None:
        """Take a message; the answer is for the supervisor (see lab.deploy.deploy)."""
        if "gate" in message:
            return self._ask(message["gate"])
        if "waiting" in message:
            self._line.show(f"waiting for BGP, at most {message['waiting']:.0f} s")
        step = message.get("step", {})
        if step.get("state") == "started":
            last = step["first"] + step["count"] - 1
            self._line.show(f"[{last}/{step['of']}] {step['title']}")
        elif step.get("state") == "going back":
            self.clear()
            print(f"going back to what it was: {step['why']}", file=self._stream)
        elif step.get("state") == "not as before":
            self.clear()
            print(f"not as it was before: {step['title']}", file=self._stream)
        return None

    def _ask(self, gate: dict[str, Any]) -> dict[str, Any]:
        print(f"{gate['number']:4} {gate['step']} ", end="", file=self._stream, flush=True)
        answer = sys.stdin.readline()
        if not sys.stdin.isatty():
            print(file=self._stream)
        # End of input means nobody is there to say yes.
        return {"go": bool(answer) and not answer.strip().lower().startswith("q")}

    def clear(self) -> None:
        """Take the line away before something else is printed."""
        self._line.clear()
