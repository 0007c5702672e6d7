"""The choice: candidates judged alike, and the best of them at latencies that are allowed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from hexplan_solver.objectives.sustained.budget import TrialBudget
from hexplan_solver.objectives.sustained.candidate import Candidate, with_policy
from hexplan_solver.objectives.sustained.params import SUSTAINED_PARAMS
from hexplan_solver.objectives.sustained.trial import (
    AnyJudged,
    Judged,
    Trial,
    best_of_equal,
    in_whole_stays,
    is_certain,
    is_hopeless,
    run,
    run_once,
    slowness,
    window_for,
)
from hexplan_solver.replicas.grids import is_grid
from hexplan_solver.served.step_limits import neighbours


@dataclass(frozen=True, slots=True)
class Contest:
    """Which latencies are allowed: how long a request stays in the references, times a factor.

    The KV cache is full, so the TTFT by itself says little: it is how long a queue is.
    """

    num_references: int
    """The first so many candidates are the references. The choice serves no less than they do, and
    no less than the uniform placements that are allowed."""
    factor: float = 1.0

    def best_of(self, judged: Sequence[AnyJudged]) -> AnyJudged:
        """Return the one that serves most; of those that serve as much, the shallowest.

        Rates that differ by less than the noise of a trial count as equal, but not those below a
        reference, or below a uniform placement, which runs without a planner.
        """
        allowed = [one for one in judged if self.is_allowed(one, judged)]
        most = max(one.decode_tokens_per_s for one in allowed)
        uniform = [one for one in allowed if is_grid(one.found.evaluated)]
        no_less_than = [*judged[: self.num_references], *uniform]
        floor = max(one.decode_tokens_per_s for one in no_less_than)
        least = max(floor, most * (1 - SUSTAINED_PARAMS.noise))
        equal = [one for one in allowed if one.decode_tokens_per_s >= least]
        return best_of_equal(equal)

    def is_allowed(self, one: Judged, judged: Sequence[Judged]) -> bool:
        """Say whether a request stays about as short as in one of the references."""
        return self.excess(one, judged) <= 1

    def excess(self, one: Judged, judged: Sequence[Judged]) -> float:
        """Return by what factor a request stays longer than is allowed; up to 1 is fine."""
        references = judged[: self.num_references]
        return min(slowness(one, reference) for reference in references) / self.factor


def choose(
    contest: Contest, candidates: Sequence[Candidate], budget: TrialBudget
) -> list[Trial] | None:
    """Return trials to choose from, the references first; None if the budget ends before others.

    All are run with one seed; then the leading ones with other step limits; then the best of all
    with more seeds. All trials that are returned have had the same seeds.

    Parameters
    ----------
    candidates
        The references, then the others, the most promising first.
    """
    count = contest.num_references
    trials: list[Trial] = []
    is_short = False
    for found in candidates:
        is_reference = len(trials) < count
        best = contest.best_of(trials).decode_tokens_per_s if not is_reference else 0.0
        if is_hopeless(found, best, trials):
            continue
        if budget.may_run(found):
            trials.append(run_once(found, budget.window(found)))
        elif is_reference:
            return None
        else:
            is_short = True
    if is_short and len(trials) <= count:
        return None  # a trial of the references alone compares them with nothing
    for _ in range(SUSTAINED_PARAMS.tunings):
        leading = [trial.found for trial in _leading(contest, trials)]
        for found in tunings(leading, [trial.found for trial in trials]):
            if not budget.may_tune() or not budget.may_run(found):
                break
            trials.append(run_once(found, budget.window(found)))
    return _finals(contest, trials, budget)


def _finals(contest: Contest, trials: list[Trial], budget: TrialBudget) -> list[Trial]:
    """Run the references and the best of the others again, as far as the budget goes.

    That is with more seeds, or, where requests are all alike and seeds change nothing, for more
    stays, each as long as it turned out to be: all of them end about together, so that a part of a
    stay would count one crowd more or less.
    """
    count = contest.num_references
    others = _others(trials[:count], _fastest(contest, trials))
    finals = [*trials[:count], *others[: SUSTAINED_PARAMS.finalists]]
    scale = budget.scale_left([trial.found for trial in finals])
    again: list[Trial] = []
    for trial in finals:
        longer = _again(trial, budget, scale)
        if longer is None:
            # These runs count only if a candidate beside the references has had them.
            return again if len(again) > count else trials
        again.append(longer)
    return again


def _again(trial: Trial, budget: TrialBudget, scale: float) -> Trial | None:
    """Run a candidate again, as a final does; None if the budget does not allow it.

    Parameters
    ----------
    scale
        Length that the runs of all finalists may have, as a share of the usual one.
    """
    found, window = trial.found, trial.window
    if is_certain(found):
        usual_s = window_for(found, 1.0, window.seed).duration_s or 0.0
        whole = in_whole_stays(trial, scale * usual_s, is_short=budget.is_short)
        own_scale = (whole.duration_s or 0.0) / usual_s
        return run_once(found, whole) if budget.may_run(found, scale=own_scale) else None
    seeds = range(window.seed + 1, window.seed + SUSTAINED_PARAMS.seeds)
    if not budget.may_run(found, len(seeds)):
        return None
    return replace(trial, outcomes=trial.outcomes + run(found, window, seeds).outcomes)


def _others(references: Sequence[Trial], trials: Iterable[Trial]) -> list[Trial]:
    """Leave out trials in which the same happened as in one before: a step limit was not met."""
    kept = list(references)
    for trial in trials:
        if all(trial.outcomes != other.outcomes for other in kept):
            kept.append(trial)
    return kept[len(references) :]


def tunings(leading: Iterable[Candidate], tried: Iterable[Candidate]) -> Iterator[Candidate]:
    """Yield the leading candidates with other step limits that were not tried yet."""
    known = [(found.evaluated.flow, found.policy) for found in tried]
    for found in leading:
        own = found.evaluated.flow
        for policy in neighbours(found.evaluated.problem.spec, found.policy):
            if not any(flow is own and policy == other for flow, other in known):
                known.append((own, policy))
                yield with_policy(found, policy)


def _leading(contest: Contest, trials: Sequence[Trial]) -> list[Trial]:
    """Return up to three trials: the best, the fastest, and the least late of the faster ones.

    A trial is faster if it serves more than the best. Its latencies are then worse than allowed,
    and other step limits may mend that.
    """
    best = contest.best_of(trials)
    faster = [t for t in trials if t.decode_tokens_per_s > best.decode_tokens_per_s]
    if not faster:
        return [best]
    fastest = max(faster, key=lambda trial: trial.decode_tokens_per_s)
    return [best, fastest, min(faster, key=lambda trial: contest.excess(trial, trials))]


def _fastest(contest: Contest, trials: Sequence[Trial]) -> list[Trial]:
    """Sort all but the references: first those allowed, and then by rate, the largest first."""
    return sorted(
        trials[contest.num_references :],
        key=lambda t: (not contest.is_allowed(t, trials), -t.decode_tokens_per_s),
    )
