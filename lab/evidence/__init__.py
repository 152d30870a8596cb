"""What a failed check leaves behind: one folder with all that is needed to find out why, later and elsewhere.

`scene` says which links matter to a check (pure), `folder` writes and never fails a run, `witness` reads what
the lab's routers and kernel say, `gather` puts it together.
"""

from lab.evidence.gather import Evidence, gather

__all__ = ["Evidence", "gather"]
