"""Checks: what a topology promises, proven on the running lab.

Each kind of check is a function that looks once and gives a Verdict; `run_checks` repeats it until it
holds or its time is over. Nothing is answered from what we configured: sessions and routes come from
BIRD, reachability and paths from packets, tags from frames on the wire.
"""

from lab.checks.defaults import default_checks
from lab.checks.result import CheckResult, Observer, title
from lab.checks.runner import run_checks

__all__ = ["CheckResult", "Observer", "default_checks", "run_checks", "title"]
