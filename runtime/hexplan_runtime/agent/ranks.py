"""The ranks of one host, as its agent starts, hears and ends them."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock
from typing import Any, Final, Literal, TypeAlias

from hexplan_runtime.agent.messages import HostReport, HostTask, StageOrder, TaskChange
from hexplan_runtime.processes import (
    ChildProcess,
    Ended,
    Here,
    OwnFolder,
    Said,
    Spares,
    Stopped,
    StopWatch,
    Supervisor,
)
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
    "HEXPLAN_EMULATED_HOST_LINK",
    "HEXPLAN_EMULATED_LINK",  # of trials: net.emulated_link, which launchers need not import
)
"""What ranks inherit: enough to run Python and trials, and no secrets of whoever launches."""

RankEvent: TypeAlias = Literal["said", "ended", "stopped", "words"]


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
        self._folder = OwnFolder()
        self._address = address
        self._supervisor = Supervisor(Report, self._take)
        command = Here(VARIABLES).command(RANK)
        self._spares = Spares(self._supervisor, command, task.spares)
        self._watch = StopWatch(lambda: self._supervisor.children, self._take)
        self._places: dict[ChildProcess[Report], _Place] = {}
        """Of the ranks that this host is to have now."""
        self._lock = Lock()
        """Held while ranks start, so that what they say is not heard before they are known."""

    def start(self) -> None:
        """Start all ranks, in the order of the plan.

        Raises
        ------
        LaunchError
            The program cannot be run.
        """
        for stage in self._task.stages:
            self._start(stage, self._task.assignment)

    def take(self, change: TaskChange) -> None:
        """Take another plan for the ranks that start from now on."""
        mine = self._task.assignment
        assignment = change.assignment.model_copy(update={"model_folder": mine.model_folder})
        update = {"stages": change.stages, "assignment": assignment}
        self._task = self._task.model_copy(update=update)

    def start_stage(self, order: StageOrder) -> None:
        """Start the ranks of one stage again."""
        news = order.model_dump(exclude={"stage", "directory"}) | {"directory": order.directory}
        self._start(order.stage, self._task.assignment.model_copy(update=news))

    def end_stage(self, stage: int) -> None:
        """End the ranks of a stage by force, and say no more of them."""
        with self._lock:
            ended = [child for child, place in self._places.items() if place.stage == stage]
            for child in ended:
                del self._places[child]
        self._supervisor.kill(ended)

    def tell(self, number: int, line: str) -> None:
        """Pass a line on to a rank, which judges it."""
        with self._lock:
            found = [child for child, place in self._places.items() if place.number == number]
        for child in found:
            child.tell_line(line)

    def tell_words(self) -> None:
        """Say what each rank wrote last."""
        with self._lock:
            places = list(self._places.items())
        for child, place in places:
            words = child.last_words
            self._hear(place.report("words", last_words=words))

    def stop(self) -> None:
        """End all ranks, and reap them."""
        self._watch.end()
        self._supervisor.stop()
        self._folder.remove()

    def _start(self, stage: int, common: Assignment) -> None:
        plan, before = common.plan, self._task.stages[: self._task.stages.index(stage)]
        first = sum(plan.stages[one].tp for one in before)
        for rank in range(plan.stages[stage].tp):
            place = _Place(first + rank, stage, common.attempt)
            with self._lock:
                child = self._spares.take(f"{stage}/{rank}")
                child.tell(self._assignment(place, rank, common))
                self._places[child] = place

    def _assignment(self, place: _Place, rank: int, common: Assignment) -> Assignment:
        assert common.across is not None
        mine = {
            "stage": place.stage,
            "rank": rank,
            "launcher_pid": os.getpid(),
            "meeting_folder": str(self._folder.path),
            "across": common.across.model_copy(update={"address": self._address}),
        }
        return common.model_copy(update=mine)

    def _take(self, event: Said[Report] | Ended[Report] | Stopped) -> None:
        with self._lock:
            place = next((p for child, p in self._places.items() if child is event.child), None)
        if place is None:
            return
        if isinstance(event, Said):
            self._hear(place.report("said", said=event.message))
        elif isinstance(event, Stopped):
            self._hear(place.report("stopped"))
        else:
            words, code, kill = event.child.last_words, event.exit_code, event.is_memory_kill
            told = {"exit_code": code, "last_words": words, "is_memory_kill": kill}
            self._hear(place.report("ended", **told))


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a rank stands."""

    number: int
    """Its index on this host."""
    stage: int
    """The index of its stage in the plan."""
    attempt: int
    """The start of its stage."""

    def report(self, event: RankEvent, **told: Any) -> HostReport:
        """Return a report about the rank."""
        return HostReport(event=event, rank=self.number, attempt=self.attempt, **told)
