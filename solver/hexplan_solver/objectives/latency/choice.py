"""The choice: contenders simulated alike, and the one whose requests take least time."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

from hexplan_solver.objectives.latency.contenders import Contender
from hexplan_solver.objectives.latency.offered import Offered
from hexplan_solver.objectives.latency.params import LATENCY_PARAMS
from hexplan_solver.objectives.latency.rate_trial import RateTrial, run_at_rate
from hexplan_solver.objectives.shallowness import shallowest
from hexplan_solver.objectives.sustained.budget import TrialBudget
from hexplan_solver.objectives.sustained.candidate import Candidate
from hexplan_solver.objectives.sustained.choice import tunings
from hexplan_solver.objectives.sustained.params import SUSTAINED_PARAMS

IsUniform = Callable[[RateTrial], bool]
"""Says whether a trial is of a uniform placement."""


def choose(
    offered: Offered, contenders: Sequence[Contender], budget: TrialBudget
) -> RateTrial | None:
    """Return the trial of least mean time of a request; among near ones, of early first tokens.

    All are run with one seed, then the best with other step limits, and then the leading ones with
    more seeds. None is returned if no contender carried the rate.

    Parameters
    ----------
    contenders
        In the order of their trials.
    """
    trials: list[RateTrial] = []
    simple = [one.found.evaluated for one in contenders if one.is_uniform]

    def is_uniform(trial: RateTrial) -> bool:
        return any(trial.found.evaluated is one for one in simple)

    def attempt(found: Candidate) -> None:
        if budget.may_run(found):
            window = budget.window(found)
            trials.append(run_at_rate(offered, found, window, [window.seed]))

    for position, one in enumerate(contenders):
        carried = _carried(trials)
        if carried and position >= LATENCY_PARAMS.leading // 2 and not budget.may_tune():
            break  # what is left is for the best with other step limits, and for more seeds
        if not carried or one.guess_s < carried[0].total_s * LATENCY_PARAMS.hopeless:
            attempt(one.found)
    for _ in range(LATENCY_PARAMS.tunings):
        best = [one.found for one in _carried(trials)[:1]]
        for found in tunings(best, [one.found for one in trials]):
            if budget.may_tune():
                attempt(found)
    leading = _with_more_seeds(_finalists(_carried(trials), is_uniform), budget)
    return best_of(leading, is_uniform) if leading else None


def best_of(leading: Sequence[RateTrial], is_uniform: IsUniform) -> RateTrial:
    """Return the best trial; among near ones, one of early first tokens, or a shallower one.

    Ties are for those that are no later than what runs without a planner, but for a difference
    that nobody could measure.
    """
    least_s = min((one.total_s for one in leading if is_uniform(one)), default=math.inf)
    near = _within(leading, leading[0], LATENCY_PARAMS.near)
    near = [one for one in near if one.total_s <= least_s * (1 + LATENCY_PARAMS.level)]
    chosen = min(near, key=lambda one: one.total_s * one.ttft_s)
    # With a little noise, and a first token that comes as early.
    equal = [
        one
        for one in _within(near, chosen, SUSTAINED_PARAMS.noise)
        if one.ttft_s <= chosen.ttft_s * (1 + SUSTAINED_PARAMS.noise)
    ]
    return min(shallowest(equal, lambda one: one.depth), key=lambda one: (one.total_s, one.depth))


def _within(trials: Sequence[RateTrial], best: RateTrial, share: float) -> list[RateTrial]:
    """Return the trials whose requests take at most so much longer than those of the best."""
    return [one for one in trials if one.total_s <= best.total_s * (1 + share)]


def _carried(trials: Sequence[RateTrial]) -> list[RateTrial]:
    """Return the trials that carried the rate, those of least time first."""
    return sorted((one for one in trials if one.is_carried), key=lambda one: one.total_s)


def _finalists(carried: Sequence[RateTrial], is_uniform: IsUniform) -> list[RateTrial]:
    """Return the best trials, the best of the uniform ones among them."""
    best = list(carried[: SUSTAINED_PARAMS.finalists])
    uniform = [one for one in carried if is_uniform(one)][:1]
    return best + [one for one in uniform if one not in best]


def _with_more_seeds(carried: Sequence[RateTrial], budget: TrialBudget) -> list[RateTrial]:
    """Return the leading trials with more seeds, as far as the budget goes, the best first.

    If not even the second could have more, one seed decides.
    """
    longer: list[RateTrial] = []
    for one in carried:
        seeds = range(one.window.seed + 1, one.window.seed + SUSTAINED_PARAMS.seeds)
        if not budget.may_run(one.found, len(seeds)):
            break
        more = run_at_rate(one.offered, one.found, one.window, seeds)
        longer.append(replace(one, outcomes=one.outcomes + more.outcomes))
    compared = min(2, len(carried))
    return _carried(longer if len(longer) >= compared else carried) or _carried(carried)
