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
from hexplan_runtime.launch.hosts import begin_on_hosts, new_keys
from hexplan_runtime.launch.mending.mender import Running
from hexplan_runtime.launch.places import Hosts
from hexplan_runtime.model.architecture import read_architecture
from hexplan_runtime.processes import Said
from hexplan_runtime.runner.choose import asked_runner
from hexplan_runtime.stage.edges import LAUNCHER, Ends, Meeting, connect
from hexplan_runtime.stage.messages import Assignment, Directory, Listening, Report


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
    kv_bytes: int = 0
    """Bytes of its KV cache."""


@dataclass(frozen=True, slots=True)
class StartUp:
    """How the processes of a launch are started."""

    meeting_folder: Path
    """Where they meet: a folder that only this user may enter."""
    timeout_s: float
    """How long they may take to read their weights and to open their edges."""
    is_observed: bool = False
    """Whether leaders report their steps and messages."""
    hosts: Hosts | None = None
    """How other hosts are reached; None runs all ranks on this machine."""
    heals: bool = False
    """Whether stages that are lost are started again."""
    step_limit_s: float = 300.0
    """How long a step may take before its leader counts as hanging, and ends."""


@dataclass(frozen=True, slots=True)
class Started:
    """What a pipeline that is up can say and be told."""

    ends: Ends
    stats: tuple[RankStats, ...]
    running: Running
    meeting: Meeting
    """Where its processes find each other."""


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
    listening: dict[RankProcess, tuple[Listening, ...]] = field(default_factory=dict)
    ready: set[RankProcess] = field(default_factory=set)
    directory: Directory | None = None
    """Where all ends between machines listen, once it is known."""

    def wait(self, is_done: Callable[[], bool]) -> None:
        """Take news until all is done; at the deadline, name the ranks that are missing."""
        while not is_done():
            news = self.fleet.next_news(self.deadline)
            if isinstance(news, Said) and news.message.event == "loaded":
                self.loaded[news.child] = news.message
            elif isinstance(news, Said) and news.message.event == "listening":
                self.listening[news.child] = news.message.listening
            elif isinstance(news, Said):
                self.ready.add(news.child)
            else:
                raise self._late()

    def exchange(self, leaders: int) -> Directory:
        """Wait until all leaders have said where they listen, and tell all of them."""
        self.wait(lambda: len(self.listening) == leaders)
        edges = [edge for listening in self.listening.values() for edge in listening]
        directory = self.directory = Directory(edges=tuple(edges))
        for leader in self.listening:
            leader.tell(directory)
        return directory

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
    across = None if how.hosts is None else new_keys(how.hosts)
    template = Assignment(
        plan=plan,
        architecture=architecture,
        model_folder=str(folder),
        stage=0,
        rank=0,
        launcher_pid=os.getpid(),
        meeting_folder=str(how.meeting_folder),
        nonce=secrets.token_hex(16),
        is_observed=how.is_observed,
        across=across,
        heals=how.heals,
        step_limit_s=how.step_limit_s,
    )
    places = [_Place(s, r) for s, stage in enumerate(plan.stages) for r in range(stage.tp)]
    if how.hosts is None:
        for place in places:
            mine = {"stage": place.stage, "rank": place.rank}
            rank = fleet.start(_name(plan, place), template.model_copy(update=mine))
            progress.ranks.append(rank)
    else:
        begin_on_hosts(fleet.agents, how.hosts, template, progress.deadline)
        names = {(one.stage, one.rank): _name(plan, one) for one in places}
        progress.ranks += fleet.agents.start_ranks(names)
    progress.wait(lambda: len(progress.loaded) == len(places))
    meeting = Meeting(
        how.meeting_folder,
        template.nonce,
        across,
        lambda _: progress.exchange(len(plan.stages)),
        fleet.tell,
    )
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
    of_stage: dict[int, list[RankProcess]] = {}
    for place, rank in zip(places, progress.ranks, strict=True):
        of_stage.setdefault(place.stage, []).append(rank)
    called = {stage: [rank.name for rank in ranks] for stage, ranks in of_stage.items()}
    template = template.model_copy(update={"directory": progress.directory})
    running = Running(plan, template, called, of_stage, ends.senders)
    return Started(ends, tuple(stats), running, meeting)


def rank_names(plan: Plan, stage: int) -> tuple[str, ...]:
    """Return what errors call the ranks of a stage."""
    return tuple(_name(plan, _Place(stage, rank)) for rank in range(plan.stages[stage].tp))


def _name(plan: Plan, place: _Place) -> str:
    stage = plan.stages[place.stage]
    device = stage.devices[place.rank]
    return f"stage {stage.id} rank {place.rank} ({stage.host}, device {device})"


def _stats(plan: Plan, place: _Place, report: Report) -> RankStats:
    stage = plan.stages[place.stage]
    return RankStats(
        stage.id,
        stage.host,
        stage.devices[place.rank],
        bytes_read=report.bytes_read,
        weights_bytes=report.weights_bytes,
        kv_bytes=report.kv_bytes,
    )
