"""Candidates: evaluated placements with their served rate by the formula."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from hexplan_solver.flow.evaluate import Evaluated, evaluate
from hexplan_solver.placement.placement import PlacedStage, Placement
from hexplan_solver.problem.problem import Problem
from hexplan_solver.served.params import SERVED_PARAMS
from hexplan_solver.served.rehearsal.rate import RehearsedRate
from hexplan_solver.served.served import ServedRate, served_above, served_rate
from hexplan_solver.served.stated import stated_rate
from hexplan_solver.served.step_limits import with_step_limits
from hexplan_solver.simulate import PipelineModel, Policy, pipeline_of_placement


@dataclass(frozen=True, slots=True)
class Held:
    """Paths that keep a part of their flow."""

    chains: frozenset[tuple[int, ...]]
    """Their stages, by position."""
    millionths: int
    """The part."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A placement with one of its largest flows, and its served rate by the formula."""

    evaluated: Evaluated
    pipeline: PipelineModel
    policy: Policy
    served: ServedRate
    held: Held | None = None
    """What of the largest flow is held back."""

    @property
    def placement(self) -> Placement:
        """Its stages, sorted."""
        return self.evaluated.placement


@dataclass(frozen=True, slots=True)
class Floor:
    """What a candidate has to reach, so that its served rate is worth computing to the end."""

    flow: int
    """In 1e-6 tokens/s."""
    decode_tokens_per_s: float


ANYTHING = Floor(1, 0.0)


def candidate_of(
    problem: Problem, stages: Sequence[PlacedStage], policy: Policy, floor: Floor = ANYTHING
) -> Candidate | None:
    """Compute the flow and the served rate of a placement; None if either is below the floor."""
    evaluated = evaluate(problem, stages)
    if evaluated.value < floor.flow:
        return None
    pipeline = pipeline_of_placement(problem, evaluated.network, evaluated.flow)
    workload = problem.spec.workload
    served = served_above(floor.decode_tokens_per_s, pipeline, workload, policy)
    return Candidate(evaluated, pipeline, policy, served) if served is not None else None


def with_flow(evaluated: Evaluated, policy: Policy) -> Candidate:
    """Compute the served rate of a placement with the flow that it comes with."""
    problem = evaluated.problem
    pipeline = pipeline_of_placement(problem, evaluated.network, evaluated.flow)
    served = served_rate(pipeline, problem.spec.workload, policy)
    return Candidate(evaluated, pipeline, policy, served)


def tuned(found: Candidate, halvings: int = SERVED_PARAMS.halvings) -> Candidate:
    """Return the candidate with the step limits that serve most by the formula."""
    spec = found.evaluated.problem.spec
    policy, served = with_step_limits(spec, found.pipeline, found.policy, halvings)
    return replace(found, policy=policy, served=served)


def with_policy(found: Candidate, policy: Policy) -> Candidate:
    """Return the candidate with other step limits."""
    workload = found.evaluated.problem.spec.workload
    return replace(found, policy=policy, served=served_rate(found.pipeline, workload, policy))


def stated_rate_of(found: Candidate) -> RehearsedRate | ServedRate:
    """Return the rate that a plan states of a candidate."""
    workload = found.evaluated.problem.spec.workload
    return stated_rate(found.pipeline, workload, found.policy)


def used_part(found: Candidate) -> Candidate:
    """Leave out the stages that the flow does not use, unless they are pinned."""
    needed = found.evaluated.needed
    if len(needed) == len(found.placement):
        return found
    return candidate_of(found.evaluated.problem, needed, found.policy) or found
