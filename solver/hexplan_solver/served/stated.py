"""What a plan states of its served rate: the rehearsed one, where it can be rehearsed."""

from __future__ import annotations

from hexplan.workload import Workload
from hexplan_solver.served.rehearsal.rate import RehearsedRate, can_be_rehearsed, rehearsed_rate
from hexplan_solver.served.served import ServedRate, served_rate
from hexplan_solver.simulate import PipelineModel, Policy


def stated_rate(
    pipeline: PipelineModel, workload: Workload, policy: Policy
) -> RehearsedRate | ServedRate:
    """Rehearse a pipeline; where prompts run whole, return what the formula says."""
    if can_be_rehearsed(pipeline, policy):
        return rehearsed_rate(pipeline, workload, policy)
    return served_rate(pipeline, workload, policy)
