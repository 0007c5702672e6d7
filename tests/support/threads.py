"""A pipeline without processes: every stage is a thread, over the real edges and teams.

All but the start of ranks is what a launch runs, and nothing is imported once more for each rank.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread
from typing import NoReturn

from support.ranks import Runner, running_stages

from hexplan.errors import HexplanError
from hexplan.plan import Plan
from hexplan.schedule.queueing.params import Queueing
from hexplan_runtime.engine.core import EngineCore
from hexplan_runtime.engine.queueing.choose import choose_engine
from hexplan_runtime.launch.fleet import Fleet
from hexplan_runtime.launch.fleet_links import FleetLinks
from hexplan_runtime.net.gloo import PeerLost
from hexplan_runtime.sampling.grammars import Grammars
from hexplan_runtime.sampling.steering import Steering
from hexplan_runtime.stage.edges import LAUNCHER, Ends, Meeting, connect
from hexplan_runtime.stage.mailbox import Inbox, Outbox, drain


@contextmanager
def running_in_threads(
    plan: Plan, folder: Path, queue: Queueing | None = None
) -> Iterator[EngineCore]:
    """Give the engine of a running plan."""
    with TemporaryDirectory(prefix="hexplan-") as name, running_stages(plan, folder) as runners:
        meeting = Meeting(Path(name), "5" * 32)
        fleet = Fleet()
        links = FleetLinks(fleet)
        core = EngineCore(choose_engine(plan, queue), links)
        every = [connect(plan, stage.id, meeting) for stage in plan.stages]
        threads = [
            Thread(target=_serve, args=(plan, stage.id, ends, runner, fleet), daemon=True)
            for stage, ends, runner in zip(plan.stages, every, runners, strict=True)
        ]
        ends = connect(plan, LAUNCHER, meeting)
        links.senders = ends.senders
        for receiver in ends.receivers.values():
            drain(receiver, fleet.tell)
        for thread in threads:
            thread.start()
        core.start()
        try:
            yield core
        finally:
            core.close()
            for one in (*every, ends):
                one.close()
            for thread in threads:
                thread.join(10)


def _no_vocabulary() -> NoReturn:
    raise AssertionError("no request here has a grammar")


def _serve(plan: Plan, stage: str, ends: Ends, runner: Runner, fleet: Fleet) -> None:
    """Run a stage as its leader does, until its edges are closed."""
    with suppress(PeerLost):
        try:
            inbox, steering = Inbox(plan, stage, ends), Steering(Grammars(_no_vocabulary))
            outbox = Outbox(plan, stage, ends, inbox.put_back, steering)
            while True:
                batch = inbox.next_batch()
                outbox.send(batch, runner(batch))
        except PeerLost:
            raise
        except Exception as error:
            fleet.tell(HexplanError(f"stage {stage}: {type(error).__name__}: {error}"))
            raise
