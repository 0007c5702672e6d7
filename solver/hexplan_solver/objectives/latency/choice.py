"""The choice: contenders simulated alike, and the one whose requests take least time."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from hexplan_solver.objectives.latency.contenders import Contender
from hexplan_solver.objectives.latency.offered import Offered
from hexplan_solver.objectives.latency.params import LATENCY_PARAMS
from hexplan_solver.objectives.latency.rate_trial import RateTrial, run_at_rate
from hexplan_solver.objectives.shallowness import shallowest
from hexplan_solver.objectives.sustained.budget import TrialBudget
from hexplan_solver.objectives.sustained.candidate import Candidate, with_policy
from hexplan_solver.objectives.sustained.choice import tunings
from hexplan_solver.objectives.sustained.params import SUSTAINED_PARAMS

IsUniform = Callable[[RateTrial], bool]
"""Says whether a trial is of a uniform placement."""


def choose(
    offered: Offered, contenders: Sequence[Contender], budget: TrialBudget
) -> RateTrial | None:
    """Return the trial of least mean time of a request; among near ones, of early first tokens.

    All are run with one seed, then the best with other step limits, the uniform ones with those of
    the best, and then the leading ones with more seeds. None is returned if no contender carried
    the rate.

    Parameters
    ----------
    contenders
        In the order of their trials.
    """
    simple = [one.found.evaluated for one in contenders if one.is_uniform]

    def is_uniform(trial: RateTrial) -> bool:
        return any(trial.found.evaluated is one for one in simple)

    trials = _Trials(offered, budget)
    trials.run_all(contenders)
    trials.follow_steps()
    for found in _with_steps_of(trials.carried[:1], contenders, trials.tried):
        trials.tune(found)
    trials.follow_others()
    leading = _with_more_seeds(_finalists(trials.carried, is_uniform), budget)
    return best_of(leading, is_uniform) if leading else None


class _Trials:
    """The trials so far, each with one seed."""

    def __init__(self, offered: Offered, budget: TrialBudget) -> None:
        self._offered, self._budget = offered, budget
        self._made: list[RateTrial] = []

    @property
    def carried(self) -> list[RateTrial]:
        """The trials that carried the rate, those of least time first."""
        return _carried(self._made)

    @property
    def tried(self) -> list[Candidate]:
        """What was run."""
        return [one.found for one in self._made]

    def run_all(self, contenders: Sequence[Contender]) -> None:
        """Run the contenders in turn, as far as the budget goes, but not the hopeless ones."""
        for position, one in enumerate(contenders):
            carried = self.carried
            may_end = position >= LATENCY_PARAMS.leading // 2
            if carried and may_end and not self._budget.may_tune():
                break  # what is left is for other step limits, and for more seeds
            if not carried or one.guess_s < carried[0].total_s * LATENCY_PARAMS.hopeless:
                self._run(one.found)

    def follow_steps(self) -> None:
        """Run the best with other step limits, and go on from those that are better."""
        for _ in range(LATENCY_PARAMS.tunings):
            best = self.carried[:1]
            for found in tunings([one.found for one in best], self.tried):
                self.tune(found)
                if self.carried[0] is not best[0]:
                    break  # on from here: what else was to be tried is further away
            else:
                return

    def follow_others(self) -> None:
        """Run the best trials of other placements with other step limits.

        Those by the formula may hold requests back at the rate, where they are not the best either.
        """
        for other in self._runners_up():
            for found in tunings([other.found], self.tried):
                self.tune(found)
            if self.carried[0].found.evaluated is other.found.evaluated:
                self.follow_steps()

    def _runners_up(self) -> list[RateTrial]:
        """Return the best trial of some placements: not of the best one, and of none hopeless."""
        carried = self.carried
        kept = carried[:1]
        for one in carried:
            is_new = not any(_is_of(one, other) for other in kept)
            if is_new and one.total_s < kept[0].total_s * LATENCY_PARAMS.hopeless:
                kept.append(one)
        return kept[1 : 1 + LATENCY_PARAMS.runners_up]

    def tune(self, found: Candidate) -> None:
        """Run a candidate, if enough is left for other step limits."""
        if self._budget.may_tune():
            self._run(found)

    def _run(self, found: Candidate) -> None:
        if self._budget.may_run(found):
            window = self._budget.window(found)
            self._made.append(run_at_rate(self._offered, found, window, [window.seed]))


def _with_steps_of(
    best: Sequence[RateTrial], contenders: Sequence[Contender], tried: Sequence[Candidate]
) -> Iterator[Candidate]:
    """Yield uniform contenders with the step limits of the best trial that were not tried so."""
    known = [(found.evaluated.flow, found.policy) for found in tried]
    for trial in best:
        for one in contenders:
            flow, policy = one.found.evaluated.flow, trial.found.policy
            if one.is_uniform and not any(flow is f and policy == p for f, p in known):
                known.append((flow, policy))
                yield with_policy(one.found, policy)


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
    # Steps that never fill make no difference.
    unlike: list[RateTrial] = []
    for one in carried:
        if not any(_is_like(one, other) for other in unlike):
            unlike.append(one)
    best = unlike[: SUSTAINED_PARAMS.finalists]
    uniform = [one for one in carried if is_uniform(one)][:1]
    return best + [one for one in uniform if one not in best]


def _is_like(one: RateTrial, other: RateTrial) -> bool:
    """Say whether two trials are of one placement, and came out alike."""
    return one.found.evaluated is other.found.evaluated and one.total_s == other.total_s


def _is_of(one: RateTrial, other: RateTrial) -> bool:
    """Say whether two trials are of one placement, as far as a trial tells."""
    return one.found.evaluated is other.found.evaluated or one.total_s == other.total_s


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
