"""Telling: what applying a plan means, in the words of the control socket."""

from __future__ import annotations

from collections.abc import Iterable

from hexplan.plan import Plan, Stage
from hexplan_runtime.applying.applier import Progress
from hexplan_runtime.applying.growth import Growth
from hexplan_runtime.control.messages import Applying, PlanChanges, StagePart
from hexplan_runtime.launch.startup import RankStats


def changes_of(growth: Growth, stats: Iterable[RankStats], start_s: float) -> PlanChanges:
    """Return what applying a plan does.

    Parameters
    ----------
    stats
        What the ranks of the launch read when it started.
    start_s
        How long that took.
    """
    old, new = growth.before.plan, growth.after.plan
    starts = [
        stage
        for stage, at in zip(new.stages, growth.after.stages, strict=True)
        if at in growth.added
    ]
    places = list(zip(old.stages, growth.before.stages, strict=True))
    most = max((device.weights_bytes for one in starts for device in one.memory), default=0)
    largest = max((rank.weights_bytes for rank in stats), default=0)
    scale = max(1.0, most / largest) if largest else 1.0
    return PlanChanges(
        kept=tuple(stage.id for stage, at in places if at in growth.kept),
        starts=tuple(map(_part, starts)),
        ends=tuple(_part(stage) for stage, at in places if at in growth.retired),
        ends_first=tuple(stage.id for stage, at in places if at in growth.first),
        routes_added=len(growth.opened),
        routes_removed=len(growth.removed),
        longest_tokens=(longest_tokens(old), longest_tokens(new)),
        is_shut=bool(growth.first) and growth.closed_first >= set(growth.before.routes),
        is_new=growth.is_new,
        estimate_s=round(start_s * scale, 3) if starts else 0.0,
    )


def applying_of(progress: Progress) -> Applying:
    """Return how far a plan is applied."""
    problem = progress.problem
    return Applying(
        steps=progress.steps,
        is_over=progress.is_over,
        problem=None if problem is None else problem.message,
        hint=None if problem is None else problem.hint,
    )


def longest_tokens(plan: Plan) -> int:
    """Return the longest context that some route of a plan holds when it is empty."""
    kv_tokens = {stage.id: stage.room_tokens for stage in plan.stages}
    return max(min(kv_tokens[hop.stage] for hop in route.hops) for route in plan.routes)


def _part(stage: Stage) -> StagePart:
    return StagePart(
        stage=stage.id,
        host=stage.host,
        devices=stage.devices,
        layers=stage.layers,
        bytes=sum(device.weights_bytes for device in stage.memory),
    )
