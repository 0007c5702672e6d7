"""Spare children: they have read their libraries, which takes seconds, and wait for their task."""

from __future__ import annotations

from threading import Lock
from typing import Final, Generic

from hexplan_runtime.processes.child_process import ChildProcess, Message
from hexplan_runtime.processes.command import Command
from hexplan_runtime.processes.stopped import is_stopped
from hexplan_runtime.processes.supervisor import Supervisor

SPARE: Final = "spare rank"


class Spares(Generic[Message]):
    """Keeps as many spare children as asked for; whoever takes one has another one begin.

    Parameters
    ----------
    most
        How many wait.
    """

    def __init__(self, supervisor: Supervisor[Message], command: Command, most: int) -> None:
        self._supervisor, self._command = supervisor, command
        self._lock = Lock()
        self._waiting = [self._begin() for _ in range(most)]

    def take(self, name: str) -> ChildProcess[Message]:
        """Return a child that waits for its task: a spare one if there is one, or a new one.

        Raises
        ------
        LaunchError
            The program cannot be run.
        """
        with self._lock:
            for _ in range(len(self._waiting)):
                spare = self._waiting.pop(0)
                self._waiting.append(self._begin())
                if spare.is_alive and not is_stopped(spare.pid):
                    spare.name = name
                    return spare
                self._supervisor.kill([spare])
        return self._supervisor.begin(name, self._command)

    def _begin(self) -> ChildProcess[Message]:
        return self._supervisor.begin(SPARE, self._command)
