"""Start-up: from a plan to ranks that have read their weights and found each other."""

from __future__ import annotations

import datetime
import os
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from threading import Thread

from hexplan.errors import LaunchError
from hexplan.plan import Plan
from hexplan_runtime.launch.fleet import Fleet
from hexplan_runtime.launch.rank_process import Spoke, WorkerProcess
from hexplan_runtime.model.architecture import read_architecture
from hexplan_runtime.net.gloo import PeerLost, Rendezvous, host_store
from hexplan_runtime.stage.edges import LAUNCHER, Ends, connect
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
class Started:
    """A pipeline that is up."""

    ends: Ends
    stats: tuple[RankStats, ...]


@dataclass(slots=True)
class _Roll:
    """Who has come how far."""

    fleet: Fleet
    timeout_s: float
    deadline: float
    workers: list[WorkerProcess] = field(default_factory=list)
    loaded: dict[WorkerProcess, Report] = field(default_factory=dict)
    ready: set[WorkerProcess] = field(default_factory=set)
    ends: Ends | None = None

    def wait(self, is_done: Callable[[], bool]) -> None:
        """Take news until all is done; at the deadline say who is missing."""
        while not is_done():
            news = self.fleet.next_news(self.deadline)
            if isinstance(news, Ends):
                self.ends = news
            elif isinstance(news, Spoke) and news.report.event == "loaded":
                self.loaded[news.worker] = news.report
            elif isinstance(news, Spoke):
                self.ready.add(news.worker)
            else:
                raise self._late()

    def _late(self) -> LaunchError:
        missing = [
            f"{worker.name} ({'no edges' if worker in self.loaded else 'no weights'} yet)"
            for worker in self.workers
            if worker not in self.ready
        ]
        message = f"not ready after {self.timeout_s:g} s: {'; '.join(missing) or 'the entry edges'}"
        return LaunchError(message, hint="the machine may be busy, or the disk slow")


def start(
    fleet: Fleet, plan: Plan, folder: Path, timeout_s: float, *, is_watched: bool = False
) -> Started:
    """Start all ranks, wait for their weights, then for all edges."""
    roll = _Roll(fleet, timeout_s, time.monotonic() + timeout_s)
    architecture = read_architecture(folder, plan.model)
    store, port = host_store()
    timeout = datetime.timedelta(seconds=timeout_s)
    rendezvous = Rendezvous(store, secrets.token_hex(16), timeout)
    draft = Assignment(
        plan=plan,
        architecture=architecture,
        model_folder=str(folder),
        stage=0,
        rank=0,
        launcher_pid=os.getpid(),
        store_port=port,
        nonce=rendezvous.nonce,
        is_watched=is_watched,
    )
    places = [(s, r) for s, stage in enumerate(plan.stages) for r in range(stage.tp)]
    for place in places:
        roll.workers.append(_start_rank(fleet, draft, place))
    roll.wait(lambda: len(roll.loaded) == len(places))
    _connect(fleet, plan, rendezvous)
    roll.wait(lambda: len(roll.ready) == len(places) and roll.ends is not None)
    assert roll.ends is not None
    stats = [
        _stats(plan, place, roll.loaded[worker])
        for place, worker in zip(places, roll.workers, strict=True)
    ]
    return Started(roll.ends, tuple(stats))


def _start_rank(fleet: Fleet, draft: Assignment, place: tuple[int, int]) -> WorkerProcess:
    index, rank = place
    stage = draft.plan.stages[index]
    name = f"stage {stage.id} rank {rank} ({stage.host}, device {stage.devices[rank]})"
    assignment = draft.model_copy(update={"stage": index, "rank": rank})
    return fleet.start(name, assignment.model_dump_json(by_alias=True))


def _connect(fleet: Fleet, plan: Plan, rendezvous: Rendezvous) -> None:
    """Meet the leaders at entry and exit edges, in a thread, as a rank may end meanwhile."""

    def run() -> None:
        try:
            fleet.tell(connect(plan, LAUNCHER, rendezvous))
        except PeerLost as loss:
            fleet.tell(loss)

    Thread(target=run, daemon=True, name="connect").start()


def _stats(plan: Plan, place: tuple[int, int], report: Report) -> RankStats:
    stage = plan.stages[place[0]]
    device = stage.devices[place[1]]
    return RankStats(stage.id, stage.host, device, report.bytes_read, report.weights_bytes)
