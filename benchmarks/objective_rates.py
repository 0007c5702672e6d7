"""Compare plans for `sustained` and `balanced` with every uniform configuration.

The judge is the search's own: the simulator, with as many requests as the KV cache takes, for as
many stays of a request as the search simulates, and with its three seeds. A uniform configuration
gets the step limits that suit it best by the formula, the largest ones, and, if it leads with
those, twice and half their tokens and decodes. One that serves less by the formula than the best so
far, the error of the formula included, is not simulated.

For `balanced`, what breaks the limits that the plan states does not count: k times the latencies of
the shallowest plan, each at 0.8 of its own rate.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from objective_rows import NONE, Row

from hexplan.plan import Plan
from hexplan.spec import Spec
from hexplan.workload import Balance
from hexplan_solver.flow.evaluate import evaluate
from hexplan_solver.objectives.balanced.params import BALANCED_PARAMS
from hexplan_solver.objectives.sustained.candidate import Candidate, tuned, with_flow
from hexplan_solver.objectives.sustained.trial import (
    Estimate,
    Judged,
    Trial,
    is_hopeless,
    run,
    window_for,
    with_load,
)
from hexplan_solver.plans.read_back import read_back, replica_numbers
from hexplan_solver.problem.problem import build_problem
from hexplan_solver.served.served import served_rate
from hexplan_solver.served.step_limits import neighbours, widest
from hexplan_solver.simulate import pipeline_of_plan, policy_named, policy_of_plan
from hexplan_solver.start.uniform import uniform_placements


@dataclass(frozen=True, slots=True)
class Contender:
    """A uniform configuration with step limits."""

    name: str
    found: Candidate


def compare_sustained(spec: Spec, plan: Plan) -> Row:
    """Compare the sustained rates in the simulator."""
    own = trialof_plan(spec, plan)
    return _row(spec, own, None)


def compare_balanced(spec: Spec, plan: Plan) -> Row:
    """Compare the sustained rates of what keeps to the latencies that the plan allows."""
    balance = plan.predicted.balance
    assert balance is not None
    own = trialof_plan(spec, plan, with_latencies=True)
    return replace(_row(spec, own, balance), note=f"{excess(own, balance):.2f}")


def _row(spec: Spec, own: Trial, limits: Balance | None) -> Row:
    every, contest = list(contenders(spec)), _Contest(limits)
    contest.settle(every)
    count = len({one.name for one in every})
    return Row(own.decode_tokens_per_s, contest.best, contest.name, count)


def contenders(spec: Spec) -> Iterator[Contender]:
    """Yield each uniform configuration with the step limits of the formula, and the largest."""
    policy = widest(spec, policy_named(spec.cluster.limits.policy))
    for grid in uniform_placements(build_problem(replace(spec, objective="throughput"))):
        found = with_flow(grid.evaluated, policy)
        suited = tuned(found)
        yield Contender(grid.name, suited)
        if suited.policy != policy:
            yield Contender(grid.name, found)


def trialof_plan(spec: Spec, plan: Plan, with_latencies: bool = False) -> Trial:
    """Simulate a plan as the search's judge does."""
    trial = _trial(of_plan(spec, plan))
    return with_load(trial, BALANCED_PARAMS.load) if with_latencies else trial


def excess(trial: Judged, limits: Balance) -> float:
    """Return by what factor the latencies exceed the limits; up to 1 they are kept."""
    return max(trial.ttft_s / float(limits.ttft_s), trial.tpot_s / float(limits.tpot_s))


def of_plan(spec: Spec, plan: Plan) -> Candidate:
    """Return the plan as the search's judge sees it."""
    stages = read_back(build_problem(spec), plan.stages, replica_numbers(plan))
    pipeline, policy = pipeline_of_plan(plan), policy_of_plan(plan)
    served = served_rate(pipeline, plan.workload, policy)
    return Candidate(evaluate(stages.problem, stages.stages), pipeline, policy, served)


class _Contest:
    """Looks for the configuration that serves most within some limits."""

    def __init__(self, limits: Balance | None) -> None:
        self._limits = limits
        self._trials: list[Trial] = []
        self._least_error: dict[int, float] = {}
        """How many times as late runs are at least as the formula says, by the number of hops."""
        self.best, self.name = 0.0, NONE

    def settle(self, every: Sequence[Contender]) -> None:
        """Try all that may be the best, and then the best with other step limits."""
        leading: Contender | None = None
        for one in sorted(every, key=lambda one: -one.found.served.decode_tokens_per_s):
            if self._is_better(one):
                leading = one
        if leading is not None:
            spec = leading.found.evaluated.problem.spec
            for policy in neighbours(spec, leading.found.policy):
                served = served_rate(leading.found.pipeline, spec.workload, policy)
                found = replace(leading.found, policy=policy, served=served)
                self._is_better(Contender(leading.name, found))

    def _is_better(self, one: Contender) -> bool:
        """Say whether a configuration serves more than the best so far, within the limits."""
        if is_hopeless(one.found, self.best, self._trials) or self._is_far_too_late(one):
            return False
        quick = run(one.found, window_for(one.found, SCALE, SEEDS[0]), SEEDS[:1])
        self._trials.append(quick)
        if quick.decode_tokens_per_s < self.best * WORTH or self._is_late(one, quick):
            return False
        trial = _trial(one.found)
        if trial.decode_tokens_per_s <= self.best or not self._is_allowed(trial):
            return False
        self.best, self.name = trial.decode_tokens_per_s, one.name
        return True

    def _is_far_too_late(self, one: Contender) -> bool:
        """Say whether its latencies exceed the limits by more than the formula errs."""
        if self._limits is None:
            return False
        error = self._least_error.get(round(one.found.served.hops))
        most = 2.0 if error is None else LATE / error
        return self._excess_by_formula(one, self._limits) > most

    def _is_late(self, one: Contender, quick: Trial) -> bool:
        """Say whether one run exceeds the limits by far, and note how far the formula is off."""
        if self._limits is None:
            return False
        late, hops = excess(_loaded(quick), self._limits), round(one.found.served.hops)
        error = late / self._excess_by_formula(one, self._limits)
        self._least_error[hops] = min(error, self._least_error.get(hops, error))
        return late > LATE

    def _excess_by_formula(self, one: Contender, limits: Balance) -> float:
        return excess(Estimate.of(one.found, BALANCED_PARAMS.load), limits)

    def _is_allowed(self, trial: Trial) -> bool:
        """Say whether the latencies keep to the limits."""
        return self._limits is None or excess(_loaded(trial), self._limits) <= 1


SEEDS = (0, 1, 2)
"""Those of the search: it has to find what they say of all uniform configurations."""
SCALE = 1.0
"""Length of a run as a share of the search's longest."""
LATE = 1.15
"""With one seed it may exceed the limits by this factor."""
WORTH = 0.97
"""With one seed a configuration has to serve this share of the best to get the others."""


def _trial(found: Candidate) -> Trial:
    return run(found, window_for(found, SCALE, SEEDS[0]), SEEDS)


def _loaded(trial: Trial) -> Trial:
    return with_load(trial, BALANCED_PARAMS.load)
