"""The ranks of one host, as its agent starts, hears and ends them."""

from __future__ import annotations

import os
from collections.abc import Callable
from tempfile import TemporaryDirectory
from typing import Final

from hexplan_runtime.agent.messages import HostReport, HostTask
from hexplan_runtime.processes import Ended, Here, Said, Stopped, StopWatch, Supervisor
from hexplan_runtime.stage.messages import Assignment, Report

RANK: Final = "hexplan_runtime.stage.worker"
VARIABLES: Final = (
    "PATH",
    "HOME",
    "LANG",
    "LC_ALL",
    "LC_CTYPE",
    "TMPDIR",
    "PYTHONPATH",
    "LD_LIBRARY_PATH",
)
"""What ranks inherit: enough to run Python, and no keys or tokens of whoever launches."""


class HostRanks:
    """Starts the ranks of a host, and passes on what they say.

    Parameters
    ----------
    address
        The IP address where leaders listen for other hosts.
    hear
        Takes what happens to ranks, in any thread.
    """

    def __init__(self, task: HostTask, address: str, hear: Callable[[HostReport], None]) -> None:
        self._task = task
        self._hear = hear
        self._folder = TemporaryDirectory(prefix="hexplan-")
        self._address = address
        self._supervisor = Supervisor(Report, self._take)
        self._watch = StopWatch(lambda: self._supervisor.children, self._take)
        self._numbers: dict[str, int] = {}

    def start(self) -> None:
        """Start all ranks, in the order of the plan.

        Raises
        ------
        LaunchError
            The program cannot be run.
        """
        plan = self._task.assignment.plan
        command = Here(VARIABLES).command(RANK)
        places = [(s, r) for s in self._task.stages for r in range(plan.stages[s].tp)]
        for number, (stage, rank) in enumerate(places):
            name = f"{stage}/{rank}"
            self._numbers[name] = number
            self._supervisor.start(name, command, self._assignment(stage, rank))

    def tell(self, number: int, line: str) -> None:
        """Pass a line on to a rank, which judges it."""
        self._supervisor.children[number].tell_line(line)

    def tell_words(self) -> None:
        """Say what each rank wrote last."""
        for number, child in enumerate(self._supervisor.children):
            self._hear(HostReport(event="words", rank=number, last_words=child.last_words))

    def stop(self) -> None:
        """End all ranks, and reap them."""
        self._watch.end()
        self._supervisor.stop()
        self._folder.cleanup()

    def _assignment(self, stage: int, rank: int) -> Assignment:
        common = self._task.assignment
        assert common.across is not None
        mine = {
            "stage": stage,
            "rank": rank,
            "launcher_pid": os.getpid(),
            "meeting_folder": self._folder.name,
            "across": common.across.model_copy(update={"address": self._address}),
        }
        return common.model_copy(update=mine)

    def _take(self, event: Said[Report] | Ended[Report] | Stopped) -> None:
        number = self._numbers[event.child.name]
        if isinstance(event, Said):
            self._hear(HostReport(event="said", rank=number, said=event.message))
        elif isinstance(event, Stopped):
            self._hear(HostReport(event="stopped", rank=number))
        else:
            words, code = event.child.last_words, event.exit_code
            self._hear(HostReport(event="ended", rank=number, exit_code=code, last_words=words))
