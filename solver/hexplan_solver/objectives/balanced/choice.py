"""The choice: rates from trials with a full KV cache, latencies from trials at a part of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hexplan_solver.objectives.balanced.limits import Limits
from hexplan_solver.objectives.balanced.params import BALANCED_PARAMS
from hexplan_solver.objectives.shallowness import Shallowness
from hexplan_solver.objectives.sustained.budget import TrialBudget
from hexplan_solver.objectives.sustained.candidate import Candidate
from hexplan_solver.objectives.sustained.choice import tunings
from hexplan_solver.objectives.sustained.params import SUSTAINED_PARAMS
from hexplan_solver.objectives.sustained.trial import (
    AnyJudged,
    Estimate,
    Judged,
    Trial,
    depth_of,
    is_hopeless,
    lateness,
    run_once,
    with_load,
)


@dataclass(frozen=True, slots=True)
class Balanced:
    """The choice, and what it was held against."""

    chosen: Judged
    shallowest: Judged
    """Judged alike: both by trials, or both by the formula."""


def choose(limits: Limits, others: Sequence[Candidate], budget: TrialBudget) -> Balanced:
    """Return the candidate that serves most at the latencies that are allowed.

    Where the budget allows no trials of the shallowest and one more, the formula decides.

    Parameters
    ----------
    others
        Those beside the shallowest, the most promising first.
    """
    shallowest = limits.shallowest.found
    if budget.affords([shallowest, *others[:1]]):
        contest = _Contest(limits, budget)
        contest.settle(others)
        if not contest.is_short:
            return Balanced(contest.best, contest.reference)
    estimates = [Estimate.of(one, BALANCED_PARAMS.load) for one in others]
    allowed = [one for one in estimates if lateness(one, limits.shallowest) <= limits.factor]
    equal = _equal([limits.shallowest, *allowed], limits)
    return Balanced(min(equal, key=depth_of), limits.shallowest)


class _Contest:
    """Tries candidates beside the shallowest one, as far as the budget goes.

    Only what keeps to the latencies in a trial counts as the best so far: others serve more than
    all that are allowed, and nothing would be tried after one of them.
    """

    def __init__(self, limits: Limits, budget: TrialBudget) -> None:
        self._limits, self._budget = limits, budget
        shallowest = limits.shallowest.found
        self.reference = _loaded(run_once(shallowest, budget.window(shallowest)))
        self._tried = [self.reference]
        self._allowed = [self.reference]
        self._was_refused = False
        self._least_error: dict[int, float] = {}
        """How many times as long latencies are at least in trials as by the formula, by the number
        of hops: it knows less of queues the more of them there are in a row."""

    @property
    def is_short(self) -> bool:
        """Whether the budget was too little for any trial beside the shallowest one."""
        return self._was_refused and len(self._tried) == 1

    @property
    def best(self) -> Trial:
        """The trial of the largest rate whose latencies are allowed, or a shallower equal."""
        return min(_equal(self._allowed, self._limits), key=depth_of)

    def settle(self, others: Sequence[Candidate]) -> None:
        """Try candidates, and then the leading ones with other step limits."""
        late: list[Candidate] = []
        for found in others:
            if self._is_probably_late(found):
                late.append(found)
            else:
                self._try(found)
        for found in late:
            self._try(found)
        for _ in range(BALANCED_PARAMS.tunings):
            leading = [trial.found for trial in self._leading()]
            for found in tunings(leading, [trial.found for trial in self._tried]):
                if self._budget.may_tune():
                    self._try(found)

    def _is_probably_late(self, found: Candidate) -> bool:
        """Say whether latencies are too long, if the formula errs as in trials of equal depth."""
        error = self._least_error.get(_hops(found), 1.0)
        return error * self._lateness_by_formula(found) > self._limits.factor

    def _lateness_by_formula(self, found: Candidate) -> float:
        return lateness(Estimate.of(found, BALANCED_PARAMS.load), self._limits.shallowest)

    def _leading(self) -> list[Trial]:
        """Return the best, and the fastest: with other steps it may keep to the latencies, too."""
        best, fastest = (max(some, key=self._limits.merit) for some in (self._allowed, self._tried))
        return [best] if fastest.found is best.found else [best, fastest]

    def _try(self, found: Candidate) -> None:
        best = max(one.decode_tokens_per_s for one in self._allowed)
        if is_hopeless(found, best, self._tried):
            return
        if not self._budget.may_run(found, 2):  # with a full KV cache, and with a part of its load
            self._was_refused = True
            return
        trial = run_once(found, self._budget.window(found))
        self._tried.append(trial)
        if any(one is trial for one in _equal([*self._allowed, trial], self._limits)):
            loaded = _loaded(trial)
            late = lateness(loaded, self.reference)
            error, hops = late / self._lateness_by_formula(found), _hops(found)
            self._least_error[hops] = min(error, self._least_error.get(hops, error))
            if late <= self._limits.factor:
                self._allowed.append(loaded)


def _hops(found: Candidate) -> int:
    """Return how many stages a mean request visits, rounded."""
    return round(Shallowness.of(found.evaluated).hops)


def _equal(judged: Sequence[AnyJudged], limits: Limits) -> list[AnyJudged]:
    """Keep those whose rate is the largest but for the noise of a trial."""
    most = max(map(limits.merit, judged))
    least = most * (1 - SUSTAINED_PARAMS.noise)
    return [one for one in judged if limits.merit(one) >= least]


def _loaded(trial: Trial) -> Trial:
    return with_load(trial, BALANCED_PARAMS.load)
