"""The choice: candidates simulated with the same seeds, and the best of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from hexplan_solver.objectives.sustained.budget import TrialBudget
from hexplan_solver.objectives.sustained.candidate import Candidate
from hexplan_solver.objectives.sustained.params import SUSTAINED_PARAMS
from hexplan_solver.objectives.sustained.trial import Trial, run
from hexplan_solver.served.served import served_rate
from hexplan_solver.served.step_limits import neighbours
from hexplan_solver.simulate import Window


def choose(
    references: Sequence[Candidate],
    others: Sequence[Candidate],
    window: Window,
    budget: TrialBudget,
) -> Trial:
    """Return the candidate that serves most at mean latencies no worse than a reference's.

    All are run with one seed; then the leading ones with other step limits; then the best of all
    with more seeds. Among equals the one of fewest hops is kept. If the budget is spent before
    that, the runs so far decide.

    Parameters
    ----------
    references
        Those that the others are compared with; the first is run in any case.
    window
        What of a run is measured, and the first seed.
    """
    first, *rest = [*references, *others]
    count = len(references)
    trials = [run(first, window, [window.seed])]
    for found in rest:
        if not budget.may_run(found):
            return best_of(trials, count)
        trials.append(run(found, window, [window.seed]))
    for _ in range(SUSTAINED_PARAMS.tunings):
        for found in _tunings(_leading(trials, count), trials):
            if not budget.may_tune() or not budget.may_run(found):
                break
            trials.append(run(found, window, [window.seed]))
    seeds = range(window.seed + 1, window.seed + SUSTAINED_PARAMS.seeds)
    longer: list[Trial] = []
    finalists = _fastest(trials, count)[: SUSTAINED_PARAMS.finalists]
    for trial in [*trials[:count], *finalists]:
        if not budget.may_run(trial.found, len(seeds)):
            # More seeds count only if a candidate beside the references has had them.
            return best_of(longer if len(longer) > count else trials, count)
        more = run(trial.found, window, seeds)
        longer.append(replace(trial, outcomes=trial.outcomes + more.outcomes))
    return best_of(longer, count)


def best_of(trials: Sequence[Trial], num_references: int) -> Trial:
    """Return the best of some trials, all of the same seeds; the first are the references."""
    references = trials[:num_references]
    allowed = [trial for trial in trials if _is_allowed(trial, references)]
    most = max(trial.decode_tokens_per_s for trial in allowed)
    least = most * (1 - SUSTAINED_PARAMS.noise)
    equal = [t for t in allowed if t.decode_tokens_per_s >= least]
    return min(equal, key=lambda t: (round(t.found.served.hops, 6), -t.decode_tokens_per_s))


def _is_allowed(trial: Trial, references: Sequence[Trial]) -> bool:
    return any(not trial.is_slower_than(reference) for reference in references)


def _tunings(leading: Sequence[Trial], trials: Sequence[Trial]) -> Iterator[Candidate]:
    """Yield the placements of some trials with other step limits that were not tried yet."""
    tried = [(trial.found.evaluated.network, trial.found.policy) for trial in trials]
    for trial in leading:
        found, own = trial.found, trial.found.evaluated.network
        for policy in neighbours(own.spec, found.policy):
            if not any(network is own and policy == other for network, other in tried):
                tried.append((own, policy))
                served = served_rate(found.pipeline, own.spec.workload, policy)
                yield replace(found, policy=policy, served=served)


def _leading(trials: Sequence[Trial], num_references: int) -> list[Trial]:
    """Return up to three trials: the best, the fastest, and the least late of the faster ones.

    A trial is faster if it serves more than the best. Its latencies are then worse than allowed,
    and other step limits may mend that.
    """
    best, references = best_of(trials, num_references), trials[:num_references]
    faster = [t for t in trials if t.decode_tokens_per_s > best.decode_tokens_per_s]
    if not faster:
        return [best]
    fastest = max(faster, key=lambda trial: trial.decode_tokens_per_s)
    return [best, fastest, min(faster, key=lambda t: min(map(t.lateness, references)))]


def _fastest(trials: Sequence[Trial], num_references: int) -> list[Trial]:
    """Sort all but the references: first those allowed, and then by rate, the largest first."""
    references = trials[:num_references]
    return sorted(
        trials[num_references:],
        key=lambda t: (not _is_allowed(t, references), -t.decode_tokens_per_s),
    )
