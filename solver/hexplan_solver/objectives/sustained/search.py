"""The search: starts, annealing on the formula, splits of the flow, trials in the simulator."""

from __future__ import annotations

from collections.abc import Sequence

from hexplan_solver.anneal import Walk
from hexplan_solver.flow.evaluate import Evaluated
from hexplan_solver.objectives.sustained.budget import EffortBudget
from hexplan_solver.objectives.sustained.candidate import Candidate, candidate_of, tuned, used_part
from hexplan_solver.objectives.sustained.choice import choose
from hexplan_solver.objectives.sustained.improve import improve
from hexplan_solver.objectives.sustained.split import spread
from hexplan_solver.objectives.sustained.starts import starts
from hexplan_solver.objectives.sustained.trial import (
    HASTY_TOKENS,
    LONGEST_TOKENS,
    Trial,
    window_for,
)
from hexplan_solver.run import Run
from hexplan_solver.simulate import Policy, Window

PACE, STEPS_PER_STAGE = 4_000, 1_000
"""Steps times stages for each second of effort, as a step takes longer the more stages there are,
and the most steps of one search for each stage. Both are counts, so that the same effort and seed
give the same plan wherever the time is enough."""
FRESH, AGAIN = 2, 1
"""Searches from the best starts, and then from the best found; each has a seed."""
SIMULATED_TOKENS = 8_000_000
"""Tokens that all first runs of candidates may emit together."""
TOKENS_PER_S = 10_000
"""Tokens of one run for each second of effort, so that a run takes a small part of it."""
FEWEST, MOST = 4, 12
"""Candidates that are simulated, the references among them."""
HOPELESS = 0.75
"""Candidates are not simulated whose rate by the formula is below this share of the best."""
STARTS_SHARE, SEARCH_SHARE = 0.1, 0.65
"""Shares of the time left for the starts, and then for the searches."""


def search(run: Run, static: Evaluated, policy: Policy) -> Trial:
    """Return the placement that serves most in the simulator, among candidates by the formula.

    Parameters
    ----------
    static
        The placement of largest flow: no worse mean latencies are allowed than it has with the
        step limits that its plan carries, or with the largest steps.
    """
    reference = candidate_of(static.problem, static.placement, policy)
    assert reference is not None, "the placement of largest flow has a flow"
    references = _distinct([tuned(reference), reference])
    distinct = _distinct([*references, *_candidates(run, static, policy)])
    longest = max(HASTY_TOKENS, min(LONGEST_TOKENS, int(run.effort_s * TOKENS_PER_S)))
    window = window_for(distinct, longest, run.options.seed)
    others = distinct[len(references) : _affordable(distinct, window)]

    return choose(references, others, window, EffortBudget(run, window))


def _candidates(run: Run, static: Evaluated, policy: Policy) -> list[Candidate]:
    """Return what may serve much by the formula, the best with the largest steps first."""
    found = starts(static, policy, run.options, run.left_s * STARTS_SHARE)
    found = sorted(map(tuned, found), key=_rate, reverse=True)
    every = [*_searched(run, found), *found]
    cleaned = [tuned(spread(used_part(candidate))) for candidate in every]
    ranked = sorted(cleaned, key=_rate, reverse=True)
    hopeful = [c for c in ranked if _rate(c) >= HOPELESS * _rate(ranked[0])]
    # Smaller steps make first tokens later; where time is short, one with the largest is tried.
    return [tuned(ranked[0], halvings=0), *hopeful]


def _searched(run: Run, found: Sequence[Candidate]) -> list[Candidate]:
    """Anneal from the best starts, each with its step limits."""
    until = run.elapsed_s + run.left_s * SEARCH_SHARE

    def may_go_on() -> bool:
        run.tell("sustained", None)
        return run.elapsed_s < until and run.left_s > 0

    results: list[Candidate] = []
    pace = int(PACE * run.effort_s / (FRESH + AGAIN))
    for attempt in range(FRESH + AGAIN):
        is_fresh = attempt < FRESH
        start = found[attempt % min(2, len(found))] if is_fresh else max(results, key=_rate)
        size = len(start.placement)
        walk = Walk(max(1, min(pace // size, STEPS_PER_STAGE * size)))
        seed = run.options.seed * (FRESH + AGAIN) + attempt
        results.append(tuned(improve(start, walk, seed, may_go_on)))
    return results


def _rate(found: Candidate) -> float:
    return found.served.decode_tokens_per_s


def _distinct(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Keep one of those that differ in names alone: their flow and their rate are the same."""
    kept: dict[object, Candidate] = {}
    for candidate in candidates:
        kept.setdefault((candidate.evaluated.value, round(_rate(candidate), 6)), candidate)
    return list(kept.values())


def _affordable(candidates: Sequence[Candidate], window: Window) -> int:
    """Return how many candidates are simulated: many where few requests are in flight."""
    tokens = (window.duration_s or 0.0) * max(_rate(c) for c in candidates)
    return max(FEWEST, min(MOST, int(SIMULATED_TOKENS / max(tokens, 1.0))))
