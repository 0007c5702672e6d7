"""The supervisor: it starts child processes, hears them, and leaves none behind."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from queue import Empty, SimpleQueue
from types import TracebackType
from typing import Final, Generic, Self

from hexplan.errors import LaunchError
from hexplan.frozen_model import FrozenModel
from hexplan_runtime.processes.child_process import ChildProcess, Ended, Message, Said
from hexplan_runtime.processes.command import Command

RELEASE_S: Final = 2.0
"""How long a child may take to end by itself, once its stdin is closed."""
TERMINATE_S: Final = 1.0
"""How long it may take after SIGTERM."""
KILL_S: Final = 10.0
"""How long the kernel may take after SIGKILL, on a busy machine."""


class Supervisor(Generic[Message]):
    """Child processes of one kind; leaving it ends them all.

    It signals its own children only, by their process ids.

    Parameters
    ----------
    message_type
        What the children say.
    hear
        Takes what they say and how they end, in their threads; `next_event` waits for it if None.
    """

    def __init__(
        self,
        message_type: type[Message],
        hear: Callable[[Said[Message] | Ended[Message]], None] | None = None,
    ) -> None:
        self._message_type = message_type
        self._events: SimpleQueue[Said[Message] | Ended[Message]] = SimpleQueue()
        self._hear = hear or self._events.put
        self._children: list[ChildProcess[Message]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def children(self) -> tuple[ChildProcess[Message], ...]:
        """All children, in the order in which they were started, whether they still run or not."""
        return tuple(self._children)

    def start(self, name: str, command: Command, task: FrozenModel) -> ChildProcess[Message]:
        """Start a child, and tell it its task.

        Raises
        ------
        LaunchError
            The program cannot be run.
        """
        child = self.begin(name, command)
        child.tell(task)
        return child

    def begin(self, name: str, command: Command) -> ChildProcess[Message]:
        """Start a child that is told its task later.

        Raises
        ------
        LaunchError
            The program cannot be run.
        """
        child = ChildProcess(name, command, self._message_type, self._hear)
        self._children.append(child)  # before its start, so that an interrupt leaves nothing behind
        try:
            child.start()
        except LaunchError:
            self._children.remove(child)
            raise
        return child

    def next_event(self, deadline_s: float | None = None) -> Said[Message] | Ended[Message] | None:
        """Wait for the next message or end; None if the deadline (monotonic clock) passes first."""
        timeout_s = None if deadline_s is None else max(0.0, deadline_s - time.monotonic())
        try:
            return self._events.get(timeout=timeout_s)
        except Empty:
            return None

    def kill(self, children: Sequence[ChildProcess[Message]]) -> None:
        """End these children by force, reap them, and forget them; it is safe to do so twice."""
        _signal(children, signal.SIGKILL)
        _join(children, KILL_S)
        for child in children:
            with suppress(ValueError):
                self._children.remove(child)  # in place, as other threads may start some

    def stop(
        self,
        children: Sequence[ChildProcess[Message]] | None = None,
        release_s: float = RELEASE_S,
    ) -> None:
        """End these children, or all, and reap them: politely at first, in the end by force.

        Parameters
        ----------
        release_s
            How long they may take to end by themselves, once their stdin is closed.
        """
        chosen = self.children if children is None else children
        try:
            for child in chosen:
                child.release()
            _join(chosen, release_s)
            _signal(chosen, signal.SIGTERM)
            _join(chosen, TERMINATE_S)
        finally:
            _signal(chosen, signal.SIGKILL)
            _join(chosen, KILL_S)


def _join(children: Sequence[ChildProcess[Message]], timeout_s: float) -> None:
    deadline_s = time.monotonic() + timeout_s
    for child in children:
        child.join(max(0.0, deadline_s - time.monotonic()))


def _signal(children: Sequence[ChildProcess[Message]], number: signal.Signals) -> None:
    for child in children:
        child.send_signal(number)
