"""The choice of an engine: one that asks a queue only where there is one."""

from __future__ import annotations

import time
from collections.abc import Callable

from hexplan.plan import Plan
from hexplan.schedule.queueing.params import Queueing
from hexplan_runtime.engine.engine import Engine
from hexplan_runtime.engine.queueing.queued_engine import QueuedEngine


def choose_engine(
    plan: Plan, queue: Queueing | None = None, clock: Callable[[], float] = time.monotonic
) -> Engine:
    """Return what runs requests in the order of a queue, by default the plan's own."""
    queueing = queue or Queueing(plan.queue)
    return Engine(plan) if queueing.name == "fcfs" else QueuedEngine(plan, queueing, clock)
