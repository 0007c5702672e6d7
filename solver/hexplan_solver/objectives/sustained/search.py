"""The search: starts, local search on the formula, splits of the flow, trials in the simulator."""

from __future__ import annotations

from collections.abc import Sequence

from hexplan_solver.anneal import Walk
from hexplan_solver.flow.evaluate import Evaluated
from hexplan_solver.objectives.sustained.budget import EffortBudget
from hexplan_solver.objectives.sustained.candidate import Candidate, candidate_of, tuned, used_part
from hexplan_solver.objectives.sustained.choice import choose
from hexplan_solver.objectives.sustained.improve import improve
from hexplan_solver.objectives.sustained.params import SUSTAINED_PARAMS
from hexplan_solver.objectives.sustained.split import spread
from hexplan_solver.objectives.sustained.starts import starts
from hexplan_solver.objectives.sustained.trial import Trial, window_for
from hexplan_solver.run import Run
from hexplan_solver.simulate import Policy, Window


def search(run: Run, static: Evaluated, policy: Policy) -> Trial:
    """Return the candidate that serves most in the simulator; the formula finds the candidates.

    Parameters
    ----------
    static
        The placement of largest flow. It is a reference twice, with the step limits of its own plan
        and with the largest steps: the mean latencies have to be no worse than one of the two.
    """
    reference = candidate_of(static.problem, static.placement, policy)
    assert reference is not None, "the placement of largest flow has a flow"
    references = _distinct([tuned(reference), reference])
    distinct = _distinct([*references, *_candidates(run, static, policy)])
    params = SUSTAINED_PARAMS
    tokens = min(params.longest_tokens, int(run.effort_s * params.tokens_per_s))
    longest = max(params.hasty_tokens, tokens)
    window = window_for(distinct, longest, run.options.seed)
    others = distinct[len(references) : _affordable(distinct, window)]
    return choose(references, others, window, EffortBudget(run, window))


def _candidates(run: Run, static: Evaluated, policy: Policy) -> list[Candidate]:
    """Return the candidates of a large served rate by the formula.

    The first is the best of them with the largest steps, and the others follow by their rates.
    """
    found = starts(static, policy, run.options, run.left_s * SUSTAINED_PARAMS.starts_share)
    found = sorted(map(tuned, found), key=_rate, reverse=True)
    every = [*_searched(run, found), *found]
    cleaned = [tuned(spread(used_part(candidate))) for candidate in every]
    ranked = sorted(cleaned, key=_rate, reverse=True)
    hopeful = [c for c in ranked if _rate(c) >= SUSTAINED_PARAMS.hopeless * _rate(ranked[0])]
    # Small steps make first tokens late, so the largest are tried first, even in a short time.
    return [tuned(ranked[0], halvings=0), *hopeful]


def _searched(run: Run, found: Sequence[Candidate]) -> list[Candidate]:
    """Search from the best starts, and then from the best found, each with its step limits."""
    params = SUSTAINED_PARAMS
    until = run.elapsed_s + run.left_s * params.search_share

    def may_go_on() -> bool:
        run.tell("sustained", None)
        return run.elapsed_s < until and run.left_s > 0

    results: list[Candidate] = []
    num_walks = params.fresh_walks + params.further_walks
    pace = int(params.pace * run.effort_s / num_walks)
    for attempt in range(num_walks):
        is_fresh = attempt < params.fresh_walks
        start = found[attempt % min(2, len(found))] if is_fresh else max(results, key=_rate)
        size = len(start.placement)
        walk = Walk(max(1, min(pace // size, params.steps_per_stage * size)))
        seed = run.options.seed * num_walks + attempt
        results.append(tuned(improve(start, walk, seed, may_go_on)))
    return results


def _rate(found: Candidate) -> float:
    return found.served.decode_tokens_per_s


def _distinct(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Keep one candidate of each flow and rate: others like it differ only in names of hosts."""
    kept: dict[object, Candidate] = {}
    for candidate in candidates:
        kept.setdefault((candidate.evaluated.value, round(_rate(candidate), 6)), candidate)
    return list(kept.values())


def _affordable(candidates: Sequence[Candidate], window: Window) -> int:
    """Return how many candidates are simulated: more if each run emits fewer tokens."""
    tokens = (window.duration_s or 0.0) * max(_rate(c) for c in candidates)
    params = SUSTAINED_PARAMS
    affordable = int(params.simulated_tokens / max(tokens, 1.0))
    return max(params.fewest_candidates, min(params.most_candidates, affordable))
