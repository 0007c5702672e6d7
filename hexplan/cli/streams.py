"""The program's standard streams: data alone goes to stdout, and a lost stderr stops nothing."""

from __future__ import annotations

import errno
import io
import os
import signal
import sys
from contextlib import suppress
from typing import NoReturn

import typer

from hexplan.errors import InputError

STDIN, STDOUT, STDERR = 0, 1, 2
PIPE_CLOSED = 128 + signal.SIGPIPE


class DataStream(io.TextIOWrapper):
    """Stdout; what cannot be written ends the command, without a word if the reader has left."""

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
        # What is still buffered goes nowhere, so that the interpreter can flush it as it exits.
        os.dup2(os.open(os.devnull, os.O_WRONLY), self.fileno())
        if error.errno == errno.EPIPE:
            raise typer.Exit(PIPE_CLOSED) from None
        reason = "it is closed" if error.errno == errno.EBADF else error.strerror
        message = f"stdout: cannot write to it: {reason}"
        raise InputError(message) from error


class MessageStream(io.TextIOWrapper):
    """Stderr; messages that cannot be written are dropped, because the data matters more."""

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

    Libraries that print to file descriptor 1 past Python, as MILP solvers do, are sent to stderr.
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
    """Occupy the descriptors of closed streams, which the next opened file would take otherwise.

    Stdout is opened to read, so that writing to it fails as it would if it were still closed.
    """
    for descriptor in (STDIN, STDOUT, STDERR):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_WRONLY if descriptor == STDERR else os.O_RDONLY)
