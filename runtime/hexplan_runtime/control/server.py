"""The launch's end of its control socket."""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from threading import Thread
from types import TracebackType
from typing import Final, Self

from pydantic import ValidationError

from hexplan.files.json_reader import MAX_BYTES
from hexplan_runtime.control.messages import Answer, Ask
from hexplan_runtime.processes.guard import Guard

MOST_BYTES: Final = MAX_BYTES + 2**16
"""A question is a short line, or has a plan in it."""
_PATIENCE_S: Final = 5.0
_CREDENTIALS: Final = struct.Struct("3i")


class ControlServer:
    """Answers the owner of a launch in a thread of its own, while it is entered.

    Parameters
    ----------
    answer
        Returns what to say; it is called in that thread.
    """

    def __init__(self, path: Path, answer: Callable[[Ask], Answer]) -> None:
        self._path = path
        self._answer = answer
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)

    def __enter__(self) -> Self:
        self._path.unlink(missing_ok=True)
        self._guard = Guard()
        self._guard.add(self._path)
        self._socket.bind(str(self._path))
        self._path.chmod(0o600)
        self._socket.listen(8)
        Thread(target=self._serve, daemon=True, name="control").start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._path.unlink(missing_ok=True)
        self._guard.end()

    def move(self, path: Path) -> None:
        """Answer at another path from now on."""
        self._guard.add(path)
        self._path.rename(path)
        self._path = path

    def _serve(self) -> None:
        while True:
            try:
                caller, _ = self._socket.accept()
            except OSError:  # it was closed
                return
            with caller, suppress(OSError):
                caller.settimeout(_PATIENCE_S)
                if _is_owner(caller):
                    self._talk(caller)

    def _talk(self, caller: socket.socket) -> None:
        with caller.makefile("rb") as lines:
            line = lines.readline(MOST_BYTES)
        try:
            answer = self._answer(Ask.model_validate_json(line))
        except ValidationError:
            answer = Answer(problem="it does not understand the question: is it another version?")
        caller.sendall(answer.model_dump_json().encode() + b"\n")


def _is_owner(caller: socket.socket) -> bool:
    data = caller.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    return bool(_CREDENTIALS.unpack(data)[1] == os.getuid())
