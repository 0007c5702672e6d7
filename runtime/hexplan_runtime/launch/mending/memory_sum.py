"""The memory that a stage takes by its plan, told where one of its ranks ran out of it."""

from __future__ import annotations

from hexplan.errors import LaunchError
from hexplan.plan import Plan


def with_sum(error: LaunchError, plan: Plan, stage: int) -> LaunchError:
    """Return the error with the sum of the largest device's memory in its hint."""
    planned = plan.stages[stage]
    device = max(planned.memory, key=lambda one: one.budget_bytes - one.free_bytes, default=None)
    if device is None:
        return error
    parts = (
        (device.weights_bytes, "weights"),
        (device.kv_bytes, "KV cache"),
        (device.workspace_bytes, "workspace"),
        (device.overhead_bytes, "driver and framework"),
    )
    terms = " + ".join(f"{_size(part)} {name}" for part, name in parts if part)
    total = _size(sum(part for part, _ in parts))
    ranks = (
        f"{planned.tp} ranks of {planned.id} on {planned.host}" if planned.tp > 1 else planned.id
    )
    told = f"{ranks}: by the plan {terms} = {total} a rank, and Python and torch beside it"
    return LaunchError(error.message, hint="\n".join((told, error.hint or "")).rstrip())


def _size(count_bytes: int) -> str:
    return f"{count_bytes / 2**20:,.1f} MiB"
