"""From one capture file to another: nobody ever sees half of the result.

A regular file is written under no name (or, where the file system cannot do that, beside its place under a
passing one) and gets its name when it is complete: after a full disk, a broken source, Ctrl-C or worse, what
was there before is still there, and nothing else.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

from edge.errors import EdgeError, UsageError
from edge.fastpath.capture import STANDARD_INPUT, CaptureCounts, ProgressCallback, load, mark_stream

STREAM = "-"
"""Standard input or output, as the name of a file."""

_NO_NAMELESS_FILES = (errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL, errno.ENOENT)


def mark_file(
    source: str, target: str, table: bytes, rules: int, progress: ProgressCallback | None = None
) -> CaptureCounts:
    """Write the capture `source` to `target`, marked by a compiled policy that names `rules` rules.

    Raises UsageError when one of them cannot be opened or both are the same file, InputError when the
    capture is broken, EdgeError when the target cannot be written to its end.
    """
    with contextlib.ExitStack() as stack:
        reading = stack.enter_context(_reader(source))
        writing = stack.enter_context(_writer(target, reading))
        return mark_stream(
            lambda view: os.readv(reading, [view]),
            lambda view: _write_all(writing, view, target),
            table,
            rules,
            STANDARD_INPUT if source == STREAM else source,
            progress,
        )


def size_of(source: str) -> int | None:
    """Octets of a file, None where nobody can say before the end (pipes, devices)."""
    try:
        found = os.fstat(sys.stdin.fileno()) if source == STREAM else Path(source).stat()
    except OSError:
        return None
    return found.st_size if stat.S_ISREG(found.st_mode) else None


@contextlib.contextmanager
def _reader(source: str) -> Iterator[int]:
    if source == STREAM:
        yield sys.stdin.fileno()
        return
    try:
        descriptor = os.open(source, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise UsageError(f"cannot read {source}: {error.strerror}") from error
    try:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise UsageError(f"cannot read {source}: it is a directory")
        yield descriptor
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _writer(target: str, reading: int) -> Iterator[int]:
    if target == STREAM:
        if sys.stdout.isatty():
            raise UsageError(
                "a capture is no text for a terminal; name a file or a pipe: edge mark IN - | ..."
            )
        sys.stdout.flush()
        if os.path.samestat(os.fstat(sys.stdout.fileno()), os.fstat(reading)):
            raise UsageError("standard output is the capture that is read; name another file")
        yield sys.stdout.fileno()
        return
    # What a symbolic link points to is replaced, not the link.
    place = Path(os.path.realpath(target))
    try:
        found: os.stat_result | None = place.stat()
    except FileNotFoundError:
        found = None
    except OSError as error:
        raise UsageError(f"cannot write {target}: {error.strerror}") from error
    if found is not None and os.path.samestat(found, os.fstat(reading)):
        raise UsageError(f"{target} is the capture that is read; name another file, then rename it")
    if found is not None and stat.S_ISDIR(found.st_mode):
        raise UsageError(f"cannot write {target}: it is a directory")
    if _is_regular(found):
        opened = _named_at_the_end(place, target, found, reading)
    else:
        opened = _as_it_is(place, target)
    with opened as descriptor:
        yield descriptor


def _is_regular(found: os.stat_result | None) -> bool:
    return found is None or stat.S_ISREG(found.st_mode)


@contextlib.contextmanager
def _as_it_is(place: Path, target: str) -> Iterator[int]:
    """A device or a named pipe."""
    try:
        descriptor = os.open(place, os.O_WRONLY | os.O_CLOEXEC)
    except OSError as error:
        raise UsageError(f"cannot write {target}: {error.strerror}") from error
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _named_at_the_end(place: Path, target: str, found: os.stat_result | None, reading: int) -> Iterator[int]:
    passing = place.with_name(f".{place.name[:200]}.{os.urandom(4).hex()}")
    if found is not None and not os.access(place, os.W_OK):
        raise UsageError(f"cannot write {target}: {os.strerror(errno.EACCES)}")
    try:
        descriptor, named = _open_new(passing)
    except OSError as error:
        raise UsageError(f"cannot write {target}: {error.strerror}") from error
    held = _Descriptor(descriptor)
    try:
        # The result is as long as its source.
        load().lib.edge_pcap_reserve(descriptor, os.fstat(reading).st_size)
        yield descriptor
        try:
            # The source may have become shorter meanwhile: give back what was reserved beyond the end.
            os.ftruncate(descriptor, os.fstat(descriptor).st_size)
            if found is not None:
                os.fchmod(descriptor, stat.S_IMODE(found.st_mode))
            if not named:
                # With a descriptor given, Python asks for linkat(2), which follows the link in /proc.
                os.link(f"/proc/self/fd/{descriptor}", passing, src_dir_fd=descriptor)
                named = True
            held.close()
            passing.replace(place)
            named = False
        except OSError as error:
            raise _cannot_finish(target, error, undone=True) from error
    finally:
        held.close()
        if named:
            passing.unlink(missing_ok=True)


class _Descriptor:
    """Closes a descriptor once; some file systems tell only then that the disk is full."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def close(self) -> None:
        """Close it, unless that was done."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)


def _open_new(passing: Path) -> tuple[int, bool]:
    """A new file to write, and whether it has the passing name already."""
    flags = os.O_WRONLY | os.O_CLOEXEC
    try:
        return os.open(passing.parent, flags | os.O_TMPFILE, 0o666), False
    except OSError as error:
        if error.errno not in _NO_NAMELESS_FILES:
            raise
    return os.open(passing, flags | os.O_CREAT | os.O_EXCL, 0o666), True


def _write_all(descriptor: int, view: memoryview, target: str) -> None:
    try:
        while view:
            view = view[os.write(descriptor, view) :]
    except BrokenPipeError:
        raise
    except OSError as error:
        # Only what goes into a regular file by its name has no name yet (see _writer).
        undone = target != STREAM and stat.S_ISREG(os.fstat(descriptor).st_mode)
        raise _cannot_finish(target, error, undone) from error


def _cannot_finish(target: str, error: OSError, undone: bool) -> EdgeError:
    """undone: nothing of the result is left."""
    place = "standard output" if target == STREAM else target
    left = "nothing was left there" if undone else "what came there is no whole capture"
    hint = "; free some space and try again" if error.errno in (errno.ENOSPC, errno.EDQUOT) else ""
    return EdgeError(f"cannot write {place}: {error.strerror}; {left}{hint}")
