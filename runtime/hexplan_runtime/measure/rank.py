"""A rank of a measured group: one process that runs one shard of a few layers, order by order.

Its task and then its orders come on stdin; the end of stdin ends it.
"""

from __future__ import annotations

import datetime
import sys
from typing import TextIO

import torch

from hexplan.errors import InputError
from hexplan_runtime.measure.messages import Answer, Order, Task
from hexplan_runtime.measure.probe import Probe
from hexplan_runtime.net.gloo import Rendezvous, join_store
from hexplan_runtime.net.team import Team
from hexplan_runtime.net.wire import Dialect
from hexplan_runtime.processes.child import claim_stdout, leave, say
from hexplan_runtime.stage.messages import launch_mark
from hexplan_runtime.stage.stage import torch_dtype

_MEET = datetime.timedelta(minutes=2)


def main() -> None:
    """Read the task, load the layers, and run orders until there are no more."""
    answers = claim_stdout()
    line = sys.stdin.buffer.readline()
    if line:
        task = Task.model_validate_json(line)
        torch.set_num_threads(1)  # as in the ranks of a launch
        with torch.device(task.kind):
            try:
                serve(task, answers)
            except InputError as error:
                say(answers, Answer(refusal=error.message, hint=error.hint))
    leave(0)


def serve(task: Task, answers: TextIO) -> None:
    """Answer each order; only the leader does."""
    team = _join(task)
    probe = Probe(task, team)
    if team.is_leader:
        say(answers, Answer())
    for line in sys.stdin.buffer:
        times_s = probe.times_s(Order.model_validate_json(line))
        if team.is_leader:
            say(answers, Answer(times_s=times_s))


def _join(task: Task) -> Team:
    dialect = Dialect(launch_mark(task.nonce), task.model.hidden, torch_dtype(task.model))
    group = None
    if task.size > 1:
        rendezvous = Rendezvous(join_store(task.store_port), task.nonce, _MEET)
        group = rendezvous.meet("measure", task.rank, task.size)
    return Team(dialect, task.rank, group)


if __name__ == "__main__":
    main()
