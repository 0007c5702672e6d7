"""The contest: trials beside the shallowest candidate, each with steps that should be in time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from hexplan_solver.objectives.balanced.limits import Limits
from hexplan_solver.objectives.balanced.params import BALANCED_PARAMS
from hexplan_solver.objectives.balanced.throttle import Throttle, throttled
from hexplan_solver.objectives.balanced.ways import Ways, ways_of
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
    best_of_equal,
    is_hopeless,
    lateness,
    run,
    run_once,
    window_for,
    with_load,
)
from hexplan_solver.replicas.grids import is_grid
from hexplan_solver.served.latencies import MeanLatencies


class Contest:
    """Tries candidates beside the shallowest one, as far as the budget goes.

    Only what keeps to the latencies in a trial counts as the best so far: others serve more than
    all that are allowed, and nothing would be tried after one of them.
    """

    def __init__(self, limits: Limits, budget: TrialBudget) -> None:
        self._limits, self._budget = limits, budget
        shallowest = limits.shallowest.found
        window = budget.window(shallowest)
        self._seed = window.seed
        self._is_steady = budget.is_minor(shallowest, SUSTAINED_PARAMS.seeds)
        """Whether the shallowest has had several runs of the usual length: from seed to seed, its
        latencies differ by a tenth, and with them what is allowed."""
        if self._is_steady:
            seeds = range(self._seed, self._seed + SUSTAINED_PARAMS.seeds)
            self.reference = _loaded(
                run(shallowest, window_for(shallowest, 1.0, self._seed), seeds)
            )
        else:
            self.reference = _loaded(run_once(shallowest, window))
        self._tried = [self.reference]
        self._allowed = [self.reference]
        self._late: list[Trial] = []
        self._was_refused = False
        self._rescues = BALANCED_PARAMS.rescues
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
        return best_of_equal(equal_of(self._allowed, self._limits))

    def settle(self, others: Sequence[Candidate]) -> None:
        """Try candidates with steps that should be in time, those of the largest rate first.

        Then those that are late are tried with less on their late routes, and the leading ones with
        other step limits.
        """
        untimely = self._try_in_time([ways_of(found, self._limits) for found in others])
        for trial in sorted(self._late, key=self._limits.merit, reverse=True):
            self._hold_back(throttled(trial.found, _times(trial), self._most))
        for ways in untimely:
            held = throttled(ways.whole, self._expected(ways.whole), self._most)
            if held is not None:
                self._hold_back(held)
            elif self._in_time(ways, BALANCED_PARAMS.slack) is not None:
                self._try(ways.whole)
        for _ in range(BALANCED_PARAMS.tunings):
            leading = [trial.found for trial in self._leading()]
            for found in tunings(leading, [trial.found for trial in self._tried]):
                if self._budget.may_tune():
                    self._try(found)

    def confirm(self) -> None:
        """Run the shallowest and the best again where runs were short, until the best is in time.

        Short runs begin with empty queues, and flatter what is near its limits.
        """
        if not self._budget.is_short or self.best is self.reference:
            return
        longer = self.reference if self._is_steady else self._longer(self.reference.found)
        if longer is None:
            return
        before = self.reference, self._allowed
        self.reference, self._allowed = longer, [longer, *self._allowed[1:]]
        self._allowed += [one for one in self._late if not self._is_late(one)]
        confirmed: list[Trial] = [longer]
        for _ in range(BALANCED_PARAMS.confirmations):
            best = self.best
            longer = None if any(best is one for one in confirmed) else self._longer(best.found)
            if longer is None:
                break
            self._allowed = [one for one in self._allowed if one is not best]
            if self._is_late(longer):
                self._late.append(longer)
                following = self._following(longer)
                longer = None if following is None else self._longer(following)
            if longer is not None and not self._is_late(longer):
                confirmed.append(longer)
                self._allowed.append(longer)
        if self.best is self.reference:
            # No time was left for smaller steps: then the short runs decide, alike for both.
            self.reference, self._allowed = before

    def _following(self, late: Trial) -> Candidate | None:
        """Return what should serve most in time after a late one: with smaller steps, or another.

        Others were tried with a full KV cache alone, since they served less.
        """
        error = self._error_in(late) * BALANCED_PARAMS.retry_margin
        way = self._in_time(replace(ways_of(late.found, self._limits), error=error))
        served = late.decode_tokens_per_s / late.found.served.decode_tokens_per_s
        options = [] if way is None else [(self._limits.merit(way) * served, way.found)]
        known = [one.found for one in (*self._late, *self._allowed)]
        for trial in self._tried:
            found = trial.found
            if not any(found is one for one in known) and self._should_be_in_time(found):
                options.append((self._limits.merit(trial), found))
        return max(options, key=lambda option: option[0])[1] if options else None

    def _should_be_in_time(self, found: Candidate) -> bool:
        own = Estimate.of(found, BALANCED_PARAMS.load)
        return self._error_of(found) * self._lateness_by_formula(own) <= self._limits.factor

    def _longer(self, found: Candidate) -> Trial | None:
        """Return a trial of the usual length with another seed; None if there is no time for it."""
        if not self._budget.may_run(found, 2, scale=1.0, is_needed=True):
            return None
        return _loaded(run_once(found, window_for(found, 1.0, self._seed + 1)))

    def _try_in_time(self, pending: list[Ways]) -> list[Ways]:
        """Try what should be in time, and return what cannot be with any steps.

        A candidate that is late after all tells how far the formula errs. It is tried again with
        the steps that should then be in time.
        """
        while pending:
            ahead = [(way, ways) for ways in pending if (way := self._in_time(ways)) is not None]
            if not ahead:
                break
            way, ways = max(ahead, key=lambda pair: self._limits.merit(pair[0]))
            pending.remove(ways)
            loaded = self._try(way.found)
            if loaded is None or not self._is_late(loaded):
                continue
            again = ways.after(way, self._error_in(loaded) * BALANCED_PARAMS.retry_margin)
            if again is not None:
                pending.append(again)
        return [ways for ways in pending if not ways.tries]

    def _in_time(self, ways: Ways, slack: float = 1.0) -> Estimate | None:
        """Return the steps of the largest rate that should be in time; None if none should be."""
        error = ways.error or self._error_of(ways.whole)
        for way in ways.estimates:
            if error * self._lateness_by_formula(way) <= self._limits.factor * slack:
                return way
        return None

    def _error_in(self, loaded: Trial) -> float:
        """Return how many times as late as by the formula a candidate was in a trial."""
        own = Estimate.of(loaded.found, BALANCED_PARAMS.load)
        return lateness(loaded, self.reference) / self._lateness_by_formula(own)

    def _error_of(self, found: Candidate) -> float:
        """Return how far the formula errs at least for candidates as deep, or less deep ones."""
        as_deep = [hops for hops in self._least_error if hops <= _hops(found)]
        return self._least_error[max(as_deep)] if as_deep else 1.0

    @property
    def _most(self) -> MeanLatencies:
        """What is allowed."""
        factor, own = self._limits.factor, _times(self.reference)
        return MeanLatencies(own.ttft_s * factor, own.tpot_s * factor)

    def _expected(self, found: Candidate) -> MeanLatencies:
        """Return the latencies by the formula, if it errs as for the shallowest and in trials."""
        error = self._error_of(found)
        own, first = Estimate.of(found, BALANCED_PARAMS.load), self._limits.shallowest
        real = _times(self.reference)
        return MeanLatencies(
            own.ttft_s / first.ttft_s * real.ttft_s * error if first.ttft_s else 0.0,
            own.tpot_s / first.tpot_s * real.tpot_s * error if first.tpot_s else 0.0,
        )

    def _hold_back(self, held: Throttle | None) -> None:
        """Try a candidate with less on its late routes, and look for the most that is allowed."""
        least, most = 0.0, 1.0
        for _ in range(BALANCED_PARAMS.throttlings):
            if held is None or least * BALANCED_PARAMS.throttling_step > most:
                return
            loaded = self._try(held.found)
            if loaded is None:
                return
            if self._is_late(loaded):
                most = held.part
            else:
                least = held.part
            part = math.sqrt(least * most) if least else most / 2
            held = replace(held, part=part) if part >= BALANCED_PARAMS.least_part else None

    def _is_late(self, loaded: Trial) -> bool:
        return lateness(loaded, self.reference) > self._limits.factor

    def _lateness_by_formula(self, one: Estimate) -> float:
        return lateness(one, self._limits.shallowest)

    def _leading(self) -> list[Trial]:
        """Return the best, and the fastest: with other steps it may keep to the latencies, too."""
        best, fastest = (max(some, key=self._limits.merit) for some in (self._allowed, self._tried))
        return [best] if fastest.found is best.found else [best, fastest]

    def _try(self, found: Candidate) -> Trial | None:
        """Return the trial with its latencies; None if it serves too little, or may not run."""
        best = max(one.decode_tokens_per_s for one in self._allowed)
        is_known = any(_is_like(found, one.found) for one in self._tried)
        if is_known or is_hopeless(found, best, self._tried):
            return None
        if not self._may_run(found):
            self._was_refused = True
            return None
        trial = run_once(found, self._budget.window(found))
        self._tried.append(trial)
        if not any(one is trial for one in equal_of([*self._allowed, trial], self._limits)):
            return None
        loaded = _loaded(trial)
        error, hops = self._error_in(loaded), _hops(found)
        self._least_error[hops] = min(error, self._least_error.get(hops, error))
        (self._late if self._is_late(loaded) else self._allowed).append(loaded)
        return loaded

    def _may_run(self, found: Candidate) -> bool:
        """Say whether there is budget for a trial; a few more are made where none was in time.

        The shallowest alone may serve a tenth of what is possible.
        """
        if self._budget.may_run(found, 2):  # with a full KV cache, and with a part of its load
            return True
        if len(self._tried) == 1 or len(self._allowed) > 1 or not self._rescues:
            return False
        self._rescues -= 1
        return self._budget.may_run(found, 2, is_needed=True)


def _is_like(one: Candidate, other: Candidate) -> bool:
    """Say whether two candidates differ only in names of hosts: flow, rate and steps are equal."""
    return (one.evaluated.value, one.served, one.policy) == (
        other.evaluated.value,
        other.served,
        other.policy,
    )


def _hops(found: Candidate) -> int:
    """Return how many stages a mean request visits, rounded."""
    return round(Shallowness.of(found.evaluated).hops)


def equal_of(judged: Sequence[AnyJudged], limits: Limits) -> list[AnyJudged]:
    """Keep those whose rate is the largest but for the noise of a trial, and no uniform one's less.

    What runs without a planner is no better than the plan, not even by what is noise elsewhere.
    """
    most = max(map(limits.merit, judged))
    uniform = [limits.merit(one) for one in judged if is_grid(one.found.evaluated)]
    least = max([most * (1 - SUSTAINED_PARAMS.noise), *uniform])
    return [one for one in judged if limits.merit(one) >= least]


def _loaded(trial: Trial) -> Trial:
    return with_load(trial, BALANCED_PARAMS.load)


def _times(one: Judged) -> MeanLatencies:
    return MeanLatencies(one.ttft_s, one.tpot_s)
