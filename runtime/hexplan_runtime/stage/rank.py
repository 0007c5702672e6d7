"""A rank: one process that holds one shard of one stage and runs what arrives.

It gets its assignment on stdin, which stays open: its end means that the launcher is gone. It says
on stdout when its weights are read and when its edges are up.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from functools import partial
from pathlib import Path

import torch

from hexplan.errors import InputError, LaunchError
from hexplan_runtime.model.linear import Rank
from hexplan_runtime.model.weights import WeightsReader
from hexplan_runtime.net.gloo import PeerLost
from hexplan_runtime.net.team import LEADER, Team
from hexplan_runtime.processes.child import Parent, leave
from hexplan_runtime.processes.memory_kills import NO_MEMORY
from hexplan_runtime.processes.time_slice import yield_to_messages
from hexplan_runtime.processes.work_watch import WorkWatch
from hexplan_runtime.runner.compiled_layers import keep_compiled_in
from hexplan_runtime.runner.device import device_of, lacks_memory
from hexplan_runtime.runner.kv_offload.host_traffic import HostTraffic, tell_traffic
from hexplan_runtime.runner.team_place import TeamPlace
from hexplan_runtime.sampling.grammars import Grammars, read_vocabulary
from hexplan_runtime.sampling.steering import Steering
from hexplan_runtime.stage.edges import Meeting, connect, wire_format_of
from hexplan_runtime.stage.mailbox import Inbox, Outbox
from hexplan_runtime.stage.messages import (
    PEER_LOST,
    REFUSED,
    Assignment,
    Directory,
    EdgeLost,
    Report,
)
from hexplan_runtime.stage.observing import ObservedStage, Observer
from hexplan_runtime.stage.orders import Leader, Orders
from hexplan_runtime.stage.rewiring import Rewiring
from hexplan_runtime.stage.stage import Stage, torch_dtype


def run(launcher: Parent) -> None:
    """Read the assignment, load, connect, and run until the launcher ends."""
    assignment = launcher.hear(Assignment)
    if sys.platform == "linux" and os.getppid() != assignment.launcher_pid:
        leave(0)  # the launcher ended before the kernel knew that this process must end with it
    observer = None
    if assignment.is_observed and assignment.rank == LEADER:
        observer = Observer(lambda seen: launcher.tell(Report(event="seen", seen=tuple(seen))))
        launcher.before_leaving(observer.flush)
    torch.set_num_threads(1)
    keep_compiled_in(Path(assignment.meeting_folder))
    try:
        serve(assignment, launcher, observer)
    except PeerLost as loss:
        # At the end of a launch a peer may be gone before this process hears of the end.
        if observer is not None:
            with suppress(OSError):
                observer.flush()
        print(f"lost a peer: {loss}", file=sys.stderr)
        leave(PEER_LOST)
    except (MemoryError, RuntimeError) as error:
        if not lacks_memory(error):
            raise
        print(f"{type(error).__name__}: {error}".splitlines()[0], file=sys.stderr)
        leave(NO_MEMORY)
    except (InputError, LaunchError) as error:
        is_users = isinstance(error, InputError)
        refused = Report(event="refused", message=error.message, hint=error.hint, is_users=is_users)
        launcher.tell(refused)
        leave(REFUSED)


def serve(assignment: Assignment, launcher: Parent, observer: Observer | None = None) -> None:
    """Run batches for ever: the leader takes what has arrived, its team does the same work."""
    plan, planned = assignment.plan, assignment.plan.stages[assignment.stage]
    meeting = _meeting(assignment, launcher)
    name = f"stage/{planned.id}/{assignment.attempt}"
    place = TeamPlace(meeting.folder, meeting.nonce, name, wire_format_of(plan, assignment.nonce))
    team = place.join(plan, planned, assignment.rank)
    loaded = _load(assignment, team, launcher)
    stage: Stage | ObservedStage = loaded
    inbox = outbox = leader = None
    if team.is_leader:
        ends = connect(plan, planned.id, meeting)
        if observer is not None:
            stage = observer.over(loaded, planned.id)
            ends = observer.over_ends(ends, sends_from=planned.id, receives_at=planned.id)
        inbox = Inbox(plan, planned.id, ends, lambda number: _tell_renewed(launcher, number))
        folder, vocab = Path(assignment.model_folder), plan.model.vocab
        steering = Steering(Grammars(lambda: read_vocabulary(folder, vocab)))
        outbox = Outbox(plan, planned.id, ends, inbox.put_back, steering)
        if ends.opened is not None:
            leader = Leader(inbox, outbox, Rewiring(plan, meeting, ends.opened))
        if loaded.host_link is not None:
            tell_traffic(planned.id, loaded.host_link, partial(_tell_traffic, launcher))
    launcher.tell(Report(event="ready"))
    Orders(launcher, loaded, leader, assignment.generations).obey()
    watch = _watch(assignment, inbox)
    if team.size == 1:  # in a group this thread waits for messages itself, several a layer
        yield_to_messages()
    while True:
        arrived = inbox.next_batch() if inbox else None
        watch.begin()
        batch = team.share(arrived)
        output = stage.run(batch)
        if outbox and inbox and inbox.is_ending:
            outbox.forget([row.request for row in batch.rows])
        elif outbox:
            outbox.send(batch, output)
        watch.end()


def _watch(assignment: Assignment, inbox: Inbox | None) -> WorkWatch:
    """Return what ends a leader that hangs, also where a rank of its team does.

    Those wait for the leader as long as nothing has arrived, so that nobody watches them.
    """
    limit_s = assignment.step_limit_s
    if inbox is None:
        return WorkWatch(limit_s)
    watch = WorkWatch(limit_s, lambda: inbox.has_arrived)
    watch.start()
    return watch


def _tell_traffic(launcher: Parent, traffic: HostTraffic) -> None:
    with suppress(OSError):
        launcher.tell(Report(event="fetched", traffic=traffic))


def _tell_renewed(launcher: Parent, number: int) -> None:
    launcher.tell(Report(event="renewed", number=number))


def _meeting(assignment: Assignment, launcher: Parent) -> Meeting:
    """Return where the others are, of whom those on other machines listen at ports yet unknown."""

    def exchange(directory: Directory) -> Directory:
        launcher.tell(Report(event="listening", listening=directory.edges))
        return launcher.hear(Directory)

    def lose(lost: EdgeLost) -> None:
        with suppress(OSError):
            launcher.tell(Report(event="lost", lost=lost))
        if assignment.heals:
            return
        print(f"lost a peer: {lost.message}", file=sys.stderr)
        leave(PEER_LOST)

    return Meeting(
        Path(assignment.meeting_folder),
        assignment.nonce,
        assignment.across,
        exchange,
        lose,
        assignment.generations,
        assignment.directory,
        assignment.edges,
    )


def _load(assignment: Assignment, team: Team, launcher: Parent) -> Stage:
    """Read this rank's part of the weights, and say how much it was."""
    plan, planned = assignment.plan, assignment.plan.stages[assignment.stage]
    shard = planned.shards[assignment.rank]
    files = WeightsReader(Path(assignment.model_folder), torch_dtype(plan.model))
    with device_of(plan, planned, assignment.rank), files as weights:
        rank = Rank(plan.model, assignment.architecture, shard, team, weights)
        stage = Stage(plan, planned, rank)
    loaded = Report(
        event="loaded",
        bytes_read=weights.bytes_read,
        weights_bytes=weights.weights_bytes,
        kv_bytes=stage.kv_bytes,
    )
    launcher.tell(loaded)
    return stage
