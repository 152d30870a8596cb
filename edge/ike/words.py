"""What charon's log tells of a tunnel, in an operator's words. Pure."""

from __future__ import annotations

import re
from typing import Final

from edge.bgp.state import LogEvent, LogEventKind

_LINE: Final = re.compile(r"\d\d\[(?P<group>[A-Z]+)\] (?:<(?:(?P<name>[^|>]+)\|)?\d+> )?(?P<text>.*)")
"""Thread, group, connection with the number of its association, words: `06[IKE] <hq_vpn|1> giving up ...`."""

_KEYS_DIFFER: Final = "the shared keys of the two ends differ"

_TELLING: Final[tuple[tuple[str, LogEventKind, str], ...]] = (
    (r"CHILD_SA \S+ established with SPIs", "established", "keys agreed on, traffic passes"),
    (r"received AUTHENTICATION_FAILED notify", "error", f"{_KEYS_DIFFER}: it refuses ours"),
    (
        r"tried \d+ shared keys? for .* MAC mismatched",
        "error",
        f"{_KEYS_DIFFER}: it proves another",
    ),
    (r"no shared key found for", "error", "there is no shared key for the other end"),
    (r"received NO_PROPOSAL_CHOSEN notify", "error", "the other end takes none of our proposals"),
    (r"no (?:acceptable|matching) proposal found", "error", "none of its proposals is one of ours"),
    (r"received TS_UNACCEPTABLE notify", "error", "the other end wants other traffic selectors"),
    (r"giving up after \d+ retransmits", "error", "the other end does not answer"),
    (r"received DELETE for IKE_SA|deleting IKE_SA .* between", "closed", "the association is over"),
)
"""What of the log is worth telling, and how."""


def event_of(line: str) -> LogEvent:
    """What a line of charon's log tells; `other` when it is of no tunnel or changes nothing.

    protocol: the connection's name, which is the device's with underscores for dots.
    """
    found = _LINE.fullmatch(line)
    name, text = (found["name"] or "", found["text"]) if found else ("", line)
    if name:
        for pattern, what, words in _TELLING:
            if re.match(pattern, text):
                return LogEvent(what, name, words, "", None)
    return LogEvent("other", name, text, "", None)


def why_no_keys(remote: str, trouble: str) -> str:
    """One sentence about a tunnel without keys. trouble: the last that `event_of` told, empty for nothing."""
    words = f"no IPsec keys with {remote}"
    if _KEYS_DIFFER in trouble:
        return f"{words}: {trouble}: write the same shared key at both ends"
    return f"{words}: {trouble or 'IKE has not been answered'}: look at the way to it, UDP port 500"
