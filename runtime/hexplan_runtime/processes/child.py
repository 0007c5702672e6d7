"""What a child process knows of its parent: tasks come on stdin, reports go to stdout."""

from __future__ import annotations

import atexit
import ctypes
import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from queue import SimpleQueue
from threading import Lock, Thread
from typing import NoReturn, TextIO, TypeVar

from hexplan.frozen_model import FrozenModel

Message = TypeVar("Message", bound=FrozenModel)

_PR_SET_PDEATHSIG = 1
"""From <linux/prctl.h>."""


class Parent:
    """The process that started this one. Make one at the start of `main`, and no second one.

    From then on, stdout is for reports alone, and this process ends at once, whatever it is doing,
    when stdin does: the parent has closed it, or is gone.
    """

    def __init__(self) -> None:
        self._reports = _claim_stdout()
        self._lock = Lock()
        self._lines: SimpleQueue[bytes] = SimpleQueue()
        self._last_act: Callable[[], None] | None = None
        # An error must not wait for groups whose peers are gone, nor for the thread that listens.
        atexit.register(os._exit, 1)
        _die_with_parent()
        Thread(target=self._listen, daemon=True, name="parent").start()

    def hear(self, message_type: type[Message]) -> Message:
        """Wait for the parent's next message, which must be of this type."""
        return message_type.model_validate_json(self._lines.get())

    def tell(self, message: FrozenModel) -> None:
        """Write a message as one line of JSON; any thread may."""
        with self._lock:
            print(message.model_dump_json(by_alias=True), file=self._reports, flush=True)

    def before_leaving(self, act: Callable[[], None]) -> None:
        """Set what is done when the parent wants this process to end."""
        self._last_act = act

    def _listen(self) -> None:
        for line in sys.stdin.buffer:
            self._lines.put(line)
        if self._last_act is not None:
            with suppress(OSError):  # a parent that was killed hears nothing more
                self._last_act()
        os._exit(0)


def leave(code: int) -> NoReturn:
    """End at once, without the destructors of groups that may still wait."""
    sys.stderr.flush()
    os._exit(code)


def _claim_stdout() -> TextIO:
    """Keep stdout for reports, and send what libraries print there to stderr."""
    reports = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return reports


def _die_with_parent() -> None:
    """Have Linux kill this process when the thread that started it ends.

    The end of stdin says the same everywhere, but not to a process that is stopped, or whose pipe
    another process still holds.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
