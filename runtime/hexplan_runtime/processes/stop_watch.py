"""Notice children that a signal has stopped: they neither say anything nor end."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from threading import Event, Thread
from typing import Any

from hexplan_runtime.processes.child_process import ChildProcess, Stopped
from hexplan_runtime.processes.stopped import LOOK_S, is_stopped


class StopWatch:
    """Looks at children in a thread of its own, until it is ended; only Linux tells.

    Parameters
    ----------
    children
        Returns those that there are by now.
    hear
        Takes each that two looks in a row have found stopped, once.
    """

    def __init__(
        self,
        children: Callable[[], Sequence[ChildProcess[Any]]],
        hear: Callable[[Stopped], None],
    ) -> None:
        self._children = children
        self._hear = hear
        self._over = Event()
        Thread(target=self._watch, daemon=True, name="stop watch").start()

    def end(self) -> None:
        """Look no more."""
        self._over.set()

    def _watch(self) -> None:
        told: set[ChildProcess[Any]] = set()
        before: set[ChildProcess[Any]] = set()
        while not self._over.wait(LOOK_S):
            now = {child for child in self._children() if child.is_alive and is_stopped(child.pid)}
            for child in (now & before) - told:
                self._hear(Stopped(child))
            told |= now & before
            before = now
