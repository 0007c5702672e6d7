"""The choice: rates from trials with a full KV cache, latencies from trials at a part of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hexplan_solver.objectives.balanced.limits import Limits
from hexplan_solver.objectives.balanced.params import BALANCED_PARAMS
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
        reference = _loaded(run_once(shallowest, budget.window(shallowest)))
        trials = _trials(reference, limits, others, budget)
        if len(trials) > 1 or not others:
            return Balanced(_best(reference, trials, limits), reference)
    estimates = [Estimate.of(one, BALANCED_PARAMS.load) for one in others]
    allowed = [one for one in estimates if lateness(one, limits.shallowest) <= limits.factor]
    equal = _equal([limits.shallowest, *allowed], limits)
    return Balanced(min(equal, key=depth_of), limits.shallowest)


def _trials(
    reference: Trial, limits: Limits, others: Sequence[Candidate], budget: TrialBudget
) -> list[Trial]:
    """Run all that may still serve most, as far as the budget goes."""
    trials, best = [reference], reference.decode_tokens_per_s
    for found in others:
        if is_hopeless(found, best, trials) or not budget.may_run(found):
            continue
        trials.append(run_once(found, budget.window(found)))
        if not limits.is_late(found):
            best = max(best, trials[-1].decode_tokens_per_s)
    for _ in range(BALANCED_PARAMS.tunings):
        for found in tunings([_leading(trials, limits)], trials):
            if not budget.may_tune() or not budget.may_run(found):
                break
            trials.append(run_once(found, budget.window(found)))
    return trials


def _leading(trials: Sequence[Trial], limits: Limits) -> Trial:
    """Return the trial that serves most of those that the formula allows."""
    allowed = [trial for trial in trials if not limits.is_late(trial.found)]
    return max(allowed or trials, key=limits.merit)


def _best(reference: Trial, trials: Sequence[Trial], limits: Limits) -> Trial:
    """Return the trial of the largest rate whose latencies are allowed, or a shallower equal."""
    allowed: list[Trial] = []
    for trial in sorted(trials, key=limits.merit, reverse=True):
        if allowed and len(_equal([*allowed, trial], limits)) == len(allowed):
            break
        loaded = trial if trial is reference else _loaded(trial)
        if lateness(loaded, reference) <= limits.factor:
            allowed.append(loaded)
    return min(allowed, key=depth_of)


def _equal(judged: Sequence[AnyJudged], limits: Limits) -> list[AnyJudged]:
    """Keep those whose rate is the largest but for the noise of a trial."""
    most = max(map(limits.merit, judged))
    least = most * (1 - SUSTAINED_PARAMS.noise)
    return [one for one in judged if limits.merit(one) >= least]


def _loaded(trial: Trial) -> Trial:
    return with_load(trial, BALANCED_PARAMS.load)
