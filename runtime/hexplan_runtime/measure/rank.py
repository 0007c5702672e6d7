"""A rank of a measured group: one process that runs one shard of a few layers, order by order."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import torch

from hexplan.errors import InputError
from hexplan_runtime.measure.layer_timer import LayerTimer
from hexplan_runtime.measure.messages import RankAnswer, RankOrder, RankTask
from hexplan_runtime.net.emulated_link import emulated
from hexplan_runtime.net.host_meeting import HostMeeting
from hexplan_runtime.net.team import Team
from hexplan_runtime.net.wire import WireFormat
from hexplan_runtime.processes.child import Parent, leave
from hexplan_runtime.stage.messages import launch_mark
from hexplan_runtime.stage.stage import torch_dtype

_MEET_S: Final = 120.0
"""How long the ranks wait for each other; each has imported torch by then."""


def main() -> None:
    """Read the task, load the layers, and run orders until the parent wants no more."""
    parent = Parent()
    task = parent.hear(RankTask)
    torch.set_num_threads(1)  # as in the ranks of a launch
    with torch.device(task.kind):
        try:
            serve(task, parent)
        except InputError as error:
            parent.tell(RankAnswer(refusal=error.message, hint=error.hint))
    leave(0)


def serve(task: RankTask, parent: Parent) -> None:
    """Answer each order; only the leader does."""
    team = _join(task)
    timer = LayerTimer(task, team)
    if team.is_leader:
        parent.tell(RankAnswer())
    if task.company:
        timer.keep_busy(task.company)
    while True:
        times_s = timer.times_s(parent.hear(RankOrder))
        if team.is_leader:
            parent.tell(RankAnswer(times_s=times_s))


def _join(task: RankTask) -> Team:
    wire_format = WireFormat(launch_mark(task.nonce), task.model.hidden, torch_dtype(task.model))
    group = lanes = None
    if task.size > 1:
        meeting = HostMeeting(Path(task.meeting_folder), task.nonce, _MEET_S)
        group = emulated(meeting.meet("measure", task.rank, task.size))
        lanes = emulated(meeting.meet("measure/lanes", task.rank, task.size, spin_s=0.0))
    return Team(wire_format, task.rank, group, lanes)


if __name__ == "__main__":
    main()
