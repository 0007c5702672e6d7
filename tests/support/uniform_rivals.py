"""Uniform configurations in the simulator, beside a plan: all with the same random numbers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from hexplan.plan import Plan
from hexplan.spec import Spec
from hexplan_solver.problem.problem import build_problem
from hexplan_solver.served.request import spread_lengths
from hexplan_solver.served.served import served_rate
from hexplan_solver.served.step_limits import widest, with_step_limits
from hexplan_solver.simulate import (
    CHUNKED,
    Offline,
    PipelineModel,
    Poisson,
    Policy,
    Window,
    pipeline_of_placement,
    pipeline_of_plan,
    policy_of_plan,
    simulate,
)
from hexplan_solver.start.uniform import uniform_placements

LOAD = 0.8
"""Share of its own sustained rate at which a configuration's latencies are measured."""
STAYS = 10.0
"""Stays of a mean request that are simulated, four of them to warm up."""
REQUESTS = 900
"""Requests that are simulated at least."""


@dataclass(frozen=True, slots=True)
class Rival:
    """A pipeline with step limits."""

    name: str
    spec: Spec
    pipeline: PipelineModel
    policy: Policy

    @staticmethod
    def of_plan(plan: Plan, spec: Spec) -> Rival:
        """Return the plan as a rival of others."""
        return Rival("plan", spec, pipeline_of_plan(plan), policy_of_plan(plan))

    def served(self, seed: int) -> Served:
        """Simulate it with its KV cache full, and then at a part of the rate that it served."""
        rate = served_rate(self.pipeline, self.spec.workload, self.policy)
        whole_s = max(STAYS * rate.residence_s, REQUESTS / rate.requests_per_s)
        window = Window(whole_s, 0.4 * whole_s, seed)
        lengths = spread_lengths(self.spec.workload)
        full = simulate(self.pipeline, Offline(lengths), self.policy, window)
        traffic = Poisson(LOAD * full.requests_per_s, lengths)
        part = simulate(self.pipeline, traffic, self.policy, window)
        assert part.ttft is not None
        assert part.tpot is not None
        return Served(full.decode_tokens_per_s, part.ttft.mean_s, part.tpot.mean_s)


@dataclass(frozen=True, slots=True)
class Served:
    """What a rival serves."""

    decode_tokens_per_s: float
    ttft_s: float
    """At a part of that rate, as the next."""
    tpot_s: float


def uniform_rivals(spec: Spec) -> Iterator[Rival]:
    """Yield every uniform configuration, with the formula's step limits and with the largest."""
    most = widest(spec, CHUNKED)
    problem = build_problem(replace(spec, objective="throughput"))
    for grid in uniform_placements(problem):
        pipeline = pipeline_of_placement(problem, grid.evaluated.network, grid.evaluated.flow)
        for policy in {with_step_limits(spec, pipeline, CHUNKED)[0], most}:
            yield Rival(grid.name, spec, pipeline, policy)
