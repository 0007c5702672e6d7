"""A rank: one process that holds one shard of one stage and runs what arrives.

It gets its assignment on stdin, which stays open: its end means that the launcher is gone. It says
on stdout when its weights are read and when its edges are up.
"""

from __future__ import annotations

import atexit
import os
import sys
from contextlib import suppress
from pathlib import Path
from threading import Thread
from typing import TextIO

import torch

from hexplan.errors import InputError
from hexplan_runtime.model.linear import Rank
from hexplan_runtime.model.weights import WeightsReader
from hexplan_runtime.net.gloo import PeerLost, Rendezvous, join_store
from hexplan_runtime.net.team import LEADER, Team
from hexplan_runtime.processes.child import claim_stdout, die_with_parent, leave, say
from hexplan_runtime.stage.edges import connect, dialect_of
from hexplan_runtime.stage.mailbox import Inbox, Outbox
from hexplan_runtime.stage.messages import PEER_LOST, REFUSED, Assignment, Report
from hexplan_runtime.stage.observing import Watch, WatchedStage
from hexplan_runtime.stage.stage import Stage, torch_dtype


def main() -> None:
    """Read the assignment, load, connect, and run until the launcher ends."""
    reports = claim_stdout()
    line = sys.stdin.buffer.readline()
    if not line:  # the launcher has gone already
        return
    assignment = Assignment.model_validate_json(line)
    watch = _watch(reports) if assignment.is_watched and assignment.rank == LEADER else None
    _end_with_launcher(assignment.launcher_pid, watch)
    torch.set_num_threads(1)
    try:
        serve(assignment, reports, watch)
    except PeerLost as loss:
        # At the end of a launch a peer may be gone before this process hears of the end.
        _tell_the_rest(watch)
        print(f"lost a peer: {loss}", file=sys.stderr)
        leave(PEER_LOST)
    except InputError as error:
        say(reports, Report(event="refused", message=error.message, hint=error.hint))
        leave(REFUSED)


def serve(assignment: Assignment, reports: TextIO, watch: Watch | None = None) -> None:
    """Run batches for ever: the leader takes what has arrived, its team does the same work."""
    plan, planned = assignment.plan, assignment.plan.stages[assignment.stage]
    rendezvous = Rendezvous(join_store(assignment.store_port), assignment.nonce)
    team = _join_team(assignment, rendezvous)
    stage: Stage | WatchedStage = _load(assignment, team, reports)
    inbox = outbox = None
    if team.is_leader:
        ends = connect(plan, planned.id, rendezvous)
        if watch is not None and isinstance(stage, Stage):
            stage, ends = watch.over(stage, planned.id), watch.over_ends(ends, (planned.id,) * 2)
        inbox, outbox = Inbox(plan, ends), Outbox(plan, planned.id, ends)
    say(reports, Report(event="ready"))
    while True:
        batch = team.share(inbox.next_batch() if inbox else None)
        output = stage.run(batch)
        if outbox:
            outbox.send(batch, output)


def _join_team(assignment: Assignment, rendezvous: Rendezvous) -> Team:
    """Meet the other ranks of the stage; one device alone needs no group."""
    stage = assignment.plan.stages[assignment.stage]
    dialect = dialect_of(assignment.plan, assignment.nonce)
    group = None
    if stage.tp > 1:
        group = rendezvous.meet(f"stage/{stage.id}", assignment.rank, stage.tp)
    return Team(dialect, assignment.rank, group)


def _load(assignment: Assignment, team: Team, reports: TextIO) -> Stage:
    """Read this rank's part of the weights, and say how much it was."""
    plan, planned = assignment.plan, assignment.plan.stages[assignment.stage]
    shard = planned.shards[assignment.rank]
    with WeightsReader(Path(assignment.model_folder), torch_dtype(plan.model)) as weights:
        rank = Rank(plan.model, assignment.architecture, shard, team, weights)
        stage = Stage(plan, planned, rank)
    loaded = Report(
        event="loaded", bytes_read=weights.bytes_read, weights_bytes=weights.weights_bytes
    )
    say(reports, loaded)
    return stage


def _watch(reports: TextIO) -> Watch:
    """Return what gathers what the leader sees, and reports it."""
    return Watch(lambda seen: say(reports, Report(event="seen", seen=tuple(seen))))


def _end_with_launcher(launcher_pid: int, watch: Watch | None) -> None:
    """End this process when the launcher ends, whatever ends it."""
    atexit.register(os._exit, 1)  # an error must not wait for groups whose peers are gone
    Thread(target=_watch_stdin, args=(watch,), daemon=True, name="watchdog").start()
    die_with_parent()
    if sys.platform == "linux" and os.getppid() != launcher_pid:
        os._exit(0)


def _watch_stdin(watch: Watch | None) -> None:
    while sys.stdin.buffer.read(4096):
        pass
    _tell_the_rest(watch)
    os._exit(0)


def _tell_the_rest(watch: Watch | None) -> None:
    """Report what was seen and not yet told; a launcher that was killed hears nothing more."""
    if watch is not None:
        with suppress(OSError):
            watch.flush()


if __name__ == "__main__":
    main()
