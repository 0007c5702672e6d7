"""The work watch: it ends this process when one piece of work takes too long, and says where.

A thread of Python could not: what hangs may hold the interpreter's lock. So it arms a timer of
`faulthandler`, which needs no lock, again and again while work goes on. When that stops, the timer
writes on stderr where each thread stands, and ends the process.
"""

from __future__ import annotations

import faulthandler
import sys
import time
from collections.abc import Callable
from threading import Thread
from typing import Final

_PARTS: Final = 10
"""How often in the limit the timer is armed."""


class WorkWatch:
    """Follows the thread that works; that one only sets numbers, as it does so for every step.

    Parameters
    ----------
    limit_s
        How long one piece of work may take.
    has_work
        Says whether something waits for the thread while it is not at work.
    """

    def __init__(self, limit_s: float, has_work: Callable[[], bool] = lambda: False) -> None:
        self._limit_s, self._has_work = limit_s, has_work
        self._begun = self._ended = 0

    def start(self) -> None:
        """Begin to watch, until this process ends."""
        Thread(target=self._run, daemon=True, name="work watch").start()

    def begin(self) -> None:
        """Note that a piece of work begins."""
        self._begun += 1

    def end(self) -> None:
        """Note that it is done."""
        self._ended = self._begun

    def _run(self) -> None:
        known = -1
        while True:
            is_idle = self._ended == self._begun and not self._has_work()
            if is_idle or self._ended != known:
                known = self._ended
                faulthandler.dump_traceback_later(self._limit_s, exit=True, file=sys.stderr)
            time.sleep(self._limit_s / _PARTS)
