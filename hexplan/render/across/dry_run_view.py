"""Show what a launch would start where."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from hexplan.plan import Plan
from hexplan.render import words

if TYPE_CHECKING:
    from hexplan_runtime.launch.dry_run import PlannedStart


def dry_run_text(plan: Plan, starts: Sequence[PlannedStart]) -> str:
    """Return what would run where, for people; keys are made at the start, and shown to nobody."""
    lines = [line for start in starts for line in _start_lines(plan, start)]
    return "\n".join([*lines, "nothing was started: this was a dry run", ""])


def _start_lines(plan: Plan, start: PlannedStart) -> Iterator[str]:
    stages = {stage.id: stage for stage in plan.stages}
    if start.host is None:
        yield f"this machine, {words.count(len(start.ranks), 'time')}, an assignment on stdin each:"
    else:
        yield f"host {start.host} at {start.address}, its task and the launch's keys on stdin:"
    yield f"  {shlex.join(start.argv)}"
    yield f"  model folder {words.printable(start.model_folder)}"
    for rank in start.ranks:
        stage = stages[rank.stage]
        place = f"{stage.host} device {rank.device}"
        yield f"  stage {rank.stage} rank {rank.rank}: {place}, layers {words.span(stage.layers)}"
    for edge in start.listens:
        port = "a free port" if edge.port is None else f"port {edge.port}"
        yield f"  listens at {start.address}, {port}: edge {edge.source} > {edge.target}, encrypted"
    for edge in start.plain:
        name = f"data of edge {edge.source} > {edge.target}"
        yield (
            f"  listens at {start.address}, a free port: {name}, plain: site"
            f" {words.printable(edge.trusted_site or '')} is trusted"
        )
