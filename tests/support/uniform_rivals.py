"""Uniform configurations in the simulator, beside a plan: all with the same random numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from hexplan.plan import Plan
from hexplan.spec import Spec
from hexplan_solver.problem.problem import build_problem
from hexplan_solver.served.request import spread_lengths
from hexplan_solver.served.served import ServedRate, served_rate
from hexplan_solver.served.step_limits import widest, with_step_limits
from hexplan_solver.simulate import (
    CHUNKED,
    Offline,
    Outcome,
    PipelineModel,
    Poisson,
    Policy,
    Slo,
    Window,
    pipeline_of_placement,
    pipeline_of_plan,
    policy_of_plan,
    simulate,
)
from hexplan_solver.start.uniform import Uniform, uniform_placements

STAYS = 8.0
"""Stays of a mean request that are simulated, three of them to warm up."""
REQUESTS = 300
"""Requests that are simulated at least."""


@dataclass(frozen=True, slots=True)
class Times:
    """Mean latencies in seconds."""

    ttft_s: float
    tpot_s: float

    @staticmethod
    def of(outcome: Outcome) -> Times:
        """Return those of a run, in which some request has to end."""
        assert outcome.ttft is not None
        assert outcome.tpot is not None
        return Times(outcome.ttft.mean_s, outcome.tpot.mean_s)

    def stay_s(self, spec: Spec) -> float:
        """Return the time of a mean request, from its arrival to its last token."""
        return self.ttft_s + spec.workload.output_tokens.mean * self.tpot_s

    def within(self, most: Times, margin: float) -> bool:
        """Say whether both are below a share of the most."""
        return self.ttft_s <= margin * most.ttft_s and self.tpot_s <= margin * most.tpot_s


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

    def full(self, seed: int) -> Outcome:
        """Simulate it with as many requests as its KV cache takes."""
        traffic = Offline(spread_lengths(self.spec.workload))
        return simulate(self.pipeline, traffic, self.policy, self._window(seed))

    def at(self, requests_per_s: float, seed: int, promise: Slo | None = None) -> Outcome:
        """Simulate it with requests that arrive at random."""
        traffic = Poisson(requests_per_s, spread_lengths(self.spec.workload))
        window = replace(self._window(seed), slo=promise)
        return simulate(self.pipeline, traffic, self.policy, window)

    def _window(self, seed: int) -> Window:
        rate = self._formula
        whole_s = max(STAYS * rate.residence_s, REQUESTS / rate.requests_per_s)
        return Window(whole_s, whole_s * 3 / STAYS, seed)

    @property
    def _formula(self) -> ServedRate:
        return served_rate(self.pipeline, self.spec.workload, self.policy)


def uniform_rivals(
    spec: Spec, counts: Callable[[Uniform], bool] = lambda _: True
) -> Iterator[Rival]:
    """Yield every uniform configuration, with the formula's step limits and with the largest.

    Parameters
    ----------
    counts
        Says whether a configuration is a rival at all.
    """
    most = widest(spec, CHUNKED)
    problem = build_problem(replace(spec, objective="throughput"))
    seen = set()
    for grid in uniform_placements(problem):
        stages = grid.evaluated.network.stages
        if stages in seen or not counts(grid):
            continue  # a grid of all types may be one of one type
        seen.add(stages)
        pipeline = pipeline_of_placement(problem, grid.evaluated.network, grid.evaluated.flow)
        suited, _ = with_step_limits(spec, pipeline, CHUNKED)
        for policy in [suited] if suited == most else [suited, most]:
            yield Rival(grid.name, spec, pipeline, policy)
