"""A placement with its flow, as the search for a sustained rate compares them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from hexplan_solver.flow.flow import max_flow
from hexplan_solver.flow.network import Network, PlacedStage, build_network
from hexplan_solver.flow.routes import Flow
from hexplan_solver.problem.problem import Problem
from hexplan_solver.served.served import ServedRate, served_above, served_rate
from hexplan_solver.served.step_limits import HALVINGS, with_step_limits
from hexplan_solver.simulate import PipelineModel, Policy, pipeline_of_placement


@dataclass(frozen=True, slots=True)
class Placed:
    """A placement, a largest flow of it, and what the formula says that it serves."""

    network: Network
    flow: Flow
    pipeline: PipelineModel
    policy: Policy
    served: ServedRate

    @property
    def stages(self) -> tuple[PlacedStage, ...]:
        """Its stages, sorted."""
        return self.network.stages


def placed(problem: Problem, stages: Sequence[PlacedStage], policy: Policy) -> Placed | None:
    """Compute flow and served rate of a placement; nothing where nothing flows."""
    return placed_above((1, 0.0), problem, stages, policy)


def placed_above(
    least: tuple[int, float], problem: Problem, stages: Sequence[PlacedStage], policy: Policy
) -> Placed | None:
    """Do so, or return nothing where the flow or the served rate is below what is asked."""
    least_flow, least_rate = least
    network = build_network(problem.spec, stages)
    flow = max_flow(network)
    if flow.value < least_flow:
        return None
    pipeline = pipeline_of_placement(problem, network, flow)
    served = served_above(least_rate, pipeline, problem.spec.workload, policy)
    return Placed(network, flow, pipeline, policy, served) if served is not None else None


def with_flow(problem: Problem, network: Network, flow: Flow, policy: Policy) -> Placed:
    """Compute the served rate of a placement for one of its flows."""
    pipeline = pipeline_of_placement(problem, network, flow)
    served = served_rate(pipeline, problem.spec.workload, policy)
    return Placed(network, flow, pipeline, policy, served)


def tuned(problem: Problem, found: Placed, halvings: int = HALVINGS) -> Placed:
    """Return the placement with the step limits that serve most by the formula."""
    policy, served = with_step_limits(problem.spec, found.pipeline, found.policy, halvings)
    return replace(found, policy=policy, served=served)


def used_part(problem: Problem, found: Placed) -> Placed:
    """Leave out the stages that the flow does not use, unless they are pinned."""
    used = {stage for path in found.flow.paths for stage in path.stages}
    used |= {i for i, s in enumerate(found.stages) if problem.kinds[s.kind].pin is not None}
    if len(used) == len(found.stages):
        return found
    return placed(problem, [found.stages[i] for i in sorted(used)], found.policy) or found
