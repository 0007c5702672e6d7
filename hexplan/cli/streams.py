"""The standard streams: only data goes to stdout, and a lost stderr stops nothing."""

from __future__ import annotations

import errno
import io
import os
import sys
from contextlib import suppress
from typing import NoReturn

import typer

from hexplan.cli.exit_codes import PIPE_CLOSED
from hexplan.errors import InputError

STDIN, STDOUT, STDERR = 0, 1, 2


class DataStream(io.TextIOWrapper):
    """Stdout; a failed write ends the command, silently if the reader has left."""

    def write(self, text: str) -> int:
        """Write text."""
        try:
            return super().write(text)
        except OSError as error:
            self._fail(error)

    def flush(self) -> None:
        """Write what is buffered."""
        try:
            super().flush()
        except OSError as error:
            self._fail(error)

    def _fail(self, error: OSError) -> NoReturn:
        # The interpreter flushes what is still buffered as it exits, and that must not fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), self.fileno())
        if error.errno == errno.EPIPE:
            raise typer.Exit(PIPE_CLOSED) from None
        reason = "it is closed" if error.errno == errno.EBADF else error.strerror
        message = f"stdout: cannot write to it: {reason}"
        raise InputError(message) from error


class MessageStream(io.TextIOWrapper):
    """Stderr; a failed write drops the message, because the data matters more."""

    def write(self, text: str) -> int:
        """Write text if possible."""
        try:
            return super().write(text)
        except OSError:
            return len(text)

    def flush(self) -> None:
        """Write what is buffered if possible."""
        with suppress(OSError):
            super().flush()


def open_streams() -> None:
    """Take over the standard streams of this process.

    Libraries that print to file descriptor 1 directly, as MILP solvers do, then print to stderr.
    """
    _fill_closed()
    is_terminal = os.isatty(STDOUT)
    data = os.fdopen(os.dup(STDOUT), "wb")
    os.dup2(STDERR, STDOUT)
    encoding = getattr(sys.stdout, "encoding", "utf-8")
    sys.stdout = DataStream(data, encoding, "backslashreplace", line_buffering=is_terminal)
    if isinstance(sys.stderr, io.TextIOWrapper):
        sys.stderr = MessageStream(
            sys.stderr.buffer, sys.stderr.encoding, "backslashreplace", line_buffering=True
        )


def _fill_closed() -> None:
    """Open closed streams on /dev/null, because the next file opened would take their numbers.

    Stdout is opened for reading, so that writing to it still fails.
    """
    for descriptor in (STDIN, STDOUT, STDERR):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_WRONLY if descriptor == STDERR else os.O_RDONLY)
