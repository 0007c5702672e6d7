"""Start-up: from a plan to ranks that have read their weights and found each other."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from hexplan.errors import LaunchError
from hexplan.plan import Plan
from hexplan_runtime.launch.fleet import Fleet, RankProcess
from hexplan_runtime.model.architecture import read_architecture
from hexplan_runtime.processes import Said
from hexplan_runtime.runner.choose import asked_runner
from hexplan_runtime.stage.edges import LAUNCHER, Ends, Meeting, connect
from hexplan_runtime.stage.messages import Assignment, Report


@dataclass(frozen=True, slots=True)
class RankStats:
    """What one rank read and holds."""

    stage: str
    host: str
    device: int
    bytes_read: int
    """Bytes of weights that it took from the model's files."""
    weights_bytes: int
    """Bytes that they fill in its memory."""


@dataclass(frozen=True, slots=True)
class StartUp:
    """How the processes of a launch are started."""

    meeting_folder: Path
    """Where they meet: a folder that only this user may enter."""
    timeout_s: float
    """How long they may take to read their weights and to open their edges."""
    is_observed: bool = False
    """Whether leaders report their steps and messages."""


@dataclass(frozen=True, slots=True)
class Started:
    """What a pipeline that is up can say and be told."""

    ends: Ends
    stats: tuple[RankStats, ...]


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a rank stands in the plan."""

    stage: int
    """Index of its stage."""
    rank: int
    """Rank in the stage; 0 leads."""


@dataclass(slots=True)
class _Progress:
    """How far each rank has come."""

    fleet: Fleet
    timeout_s: float
    deadline: float
    ranks: list[RankProcess] = field(default_factory=list)
    loaded: dict[RankProcess, Report] = field(default_factory=dict)
    ready: set[RankProcess] = field(default_factory=set)

    def wait(self, is_done: Callable[[], bool]) -> None:
        """Take news until all is done; at the deadline, name the ranks that are missing."""
        while not is_done():
            news = self.fleet.next_news(self.deadline)
            if isinstance(news, Said) and news.message.event == "loaded":
                self.loaded[news.child] = news.message
            elif isinstance(news, Said):
                self.ready.add(news.child)
            else:
                raise self._late()

    def _late(self) -> LaunchError:
        missing = [
            f"{rank.name} ({'no edges' if rank in self.loaded else 'no weights'} yet)"
            for rank in self.ranks
            if rank not in self.ready
        ]
        message = f"not ready after {self.timeout_s:g} s: {'; '.join(missing)}"
        return LaunchError(message, hint="the machine may be busy, or the disk slow")


def start(fleet: Fleet, plan: Plan, folder: Path, how: StartUp) -> Started:
    """Start all ranks, wait for their weights, then for all edges."""
    progress = _Progress(fleet, how.timeout_s, time.monotonic() + how.timeout_s)
    architecture = read_architecture(folder, plan.model)
    architecture = architecture.model_copy(update={"runner": asked_runner()})
    meeting = Meeting(how.meeting_folder, secrets.token_hex(16))
    template = Assignment(
        plan=plan,
        architecture=architecture,
        model_folder=str(folder),
        stage=0,
        rank=0,
        launcher_pid=os.getpid(),
        meeting_folder=str(meeting.folder),
        nonce=meeting.nonce,
        is_observed=how.is_observed,
    )
    places = [_Place(s, r) for s, stage in enumerate(plan.stages) for r in range(stage.tp)]
    for place in places:
        progress.ranks.append(_start_rank(fleet, template, place))
    progress.wait(lambda: len(progress.loaded) == len(places))
    ends = connect(plan, LAUNCHER, meeting)
    try:
        progress.wait(lambda: len(progress.ready) == len(places))
    except BaseException:
        ends.close()
        raise
    stats = [
        _stats(plan, place, progress.loaded[rank])
        for place, rank in zip(places, progress.ranks, strict=True)
    ]
    return Started(ends, tuple(stats))


def _start_rank(fleet: Fleet, template: Assignment, place: _Place) -> RankProcess:
    stage = template.plan.stages[place.stage]
    device = stage.devices[place.rank]
    name = f"stage {stage.id} rank {place.rank} ({stage.host}, device {device})"
    mine = {"stage": place.stage, "rank": place.rank}
    return fleet.start(name, template.model_copy(update=mine))


def _stats(plan: Plan, place: _Place, report: Report) -> RankStats:
    stage = plan.stages[place.stage]
    device = stage.devices[place.rank]
    return RankStats(stage.id, stage.host, device, report.bytes_read, report.weights_bytes)
