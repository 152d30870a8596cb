"""Runs a click command with the exit codes both programs share; no traceback reaches a user."""

from __future__ import annotations

import errno
import os
import signal
import sys
import traceback
from typing import Any, TextIO

import click

from edge.errors import EXIT_FAILED, EXIT_OK, EdgeError, InputError

EXIT_INTERRUPTED = 128 + signal.SIGINT


def run(command: click.Command, program: str, arguments: list[str] | None = None) -> int:
    """Run `command` with these arguments (sys.argv without) and return its exit status.

    A command returns its exit status or None for success. Messages go to stderr.
    """
    streams = sys.stdout, sys.stderr
    try:
        result: Any = command.main(arguments, prog_name=program, standalone_mode=False)
        sys.stdout.flush()
    except click.exceptions.Exit as request:
        return request.exit_code
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        print(f"{program}: interrupted", file=sys.stderr)
        return EXIT_INTERRUPTED
    except EdgeError as error:
        # Problems of a file stand alone, as compilers print them, so that editors find the place.
        print(str(error) if isinstance(error, InputError) else f"{program}: {error}", file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:
        return _reader_has_gone(streams)
    except SystemExit as request:
        # So click (which then wraps the streams) and rich end on a closed pipe, with a status that means
        # "a check failed" here.
        if sys.stdout is not streams[0] or isinstance(request.__context__, BrokenPipeError):
            return _reader_has_gone(streams)
        raise
    except OSError as error:
        words = error.strerror or str(error)
        where = f" ({error.filename})" if error.filename else ""
        hint = "; free some space and try again" if error.errno in (errno.ENOSPC, errno.EDQUOT) else ""
        print(f"{program}: {words}{where}{hint}", file=sys.stderr)
        return EXIT_FAILED
    except Exception as error:  # noqa: BLE001 - the last guard of a program
        place = traceback.extract_tb(error.__traceback__)[-1]
        print(
            f"{program}: a defect of {program} ({type(error).__name__}: {error}; "
            f"{place.filename}:{place.lineno}); please report it with the command you gave",
            file=sys.stderr,
        )
        return EXIT_FAILED
    return result if isinstance(result, int) else EXIT_OK


def _reader_has_gone(streams: tuple[TextIO, TextIO]) -> int:
    """The reader of our output has seen enough; the interpreter must not complain at exit."""
    sys.stdout, sys.stderr = streams
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, sys.stdout.fileno())
    os.close(null)
    return EXIT_OK
