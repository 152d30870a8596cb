"""Runs a click command with the exit codes both programs share; no traceback reaches a user."""

from __future__ import annotations

import errno
import os
import signal
import sys
from typing import Any

import click

from edge.errors import EXIT_FAILED, EXIT_OK, EdgeError

EXIT_INTERRUPTED = 128 + signal.SIGINT


def run(command: click.Command, program: str, arguments: list[str] | None = None) -> int:
    """Run `command` with these arguments (sys.argv without) and return its exit status.

    A command returns its exit status or None for success. Messages go to stderr.
    """
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
        print(f"{program}: {error}" if "\n" not in str(error) else str(error), file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:
        # The reader of our output has seen enough; the interpreter must not complain at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_OK
    except OSError as error:
        words = error.strerror or str(error)
        where = f" ({error.filename})" if error.filename else ""
        hint = "; free some space and try again" if error.errno in (errno.ENOSPC, errno.EDQUOT) else ""
        print(f"{program}: {words}{where}{hint}", file=sys.stderr)
        return EXIT_FAILED
    return result if isinstance(result, int) else EXIT_OK
