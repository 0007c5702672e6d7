"""What an agent sees before it starts a rank, measured by its task."""

from __future__ import annotations

import platform
import time
from collections.abc import Iterable
from pathlib import Path

from hexplan.plan import Plan
from hexplan_runtime.agent.checks import files_here, memory_for, torch_here
from hexplan_runtime.agent.messages import HostSeen, HostTask
from hexplan_runtime.hardware import free_cores


def at_home(task: HostTask) -> HostTask:
    """Return a task whose model folder is spelled out, if it is in the home of whoever runs it."""
    folder = str(Path(task.assignment.model_folder).expanduser())
    assignment = task.assignment.model_copy(update={"model_folder": folder})
    return task.model_copy(update={"assignment": assignment})


def look_around(task: HostTask) -> HostSeen:
    """Return what is here.

    Raises
    ------
    InputError
        The model is not here, or not the plan's.
    LaunchError
        torch is missing, or there is too little memory for the planned weights and KV caches.
    """
    plan = task.assignment.plan
    held = [plan.stages[index].layers for index in task.stages]
    return HostSeen(
        python=platform.python_version(),
        torch=torch_here(),
        cores=free_cores(),
        free_bytes=memory_for(needed_memory(plan, task.stages)),
        clock_s=time.time(),
        files=files_here(Path(task.assignment.model_folder), plan.model.config_sha256, held),
    )


def needed_memory(plan: Plan, stages: Iterable[int]) -> int:
    """Return the bytes that the planned weights and KV caches of some stages fill.

    Stages that no request takes any more, since another plan was applied, have ended.
    """
    used = {hop.stage for route in plan.routes if route.weight for hop in route.hops}
    memory = [
        one
        for index in stages
        if plan.stages[index].id in used
        for one in plan.stages[index].memory
    ]
    return sum(one.weights_bytes + one.kv_bytes for one in memory)
