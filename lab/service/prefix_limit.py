"""What happens to a session by the number of prefixes on it."""

from __future__ import annotations

from typing import Literal

from lab.service.limits import WARNING_SHARE

Verdict = Literal["accepted", "warning", "dropped"]


def judge(count: int, limit: int, warning_share: float = WARNING_SHARE) -> Verdict:
    """Whether a session with `count` prefixes lives (facts 3.3).

    Over the limit it is dropped and comes back when the count is under it again. From a share of the limit
    on it is reported; that share is our choice (facts, "Open points").
    """
    if count > limit:
        return "dropped"
    return "warning" if count >= limit * warning_share else "accepted"
