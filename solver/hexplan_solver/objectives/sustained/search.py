"""The search: starts, local search on the formula, splits of the flow, trials in the simulator."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from hexplan_solver.anneal import Walk
from hexplan_solver.flow.evaluate import Evaluated
from hexplan_solver.objectives.sustained.budget import EffortBudget
from hexplan_solver.objectives.sustained.candidate import (
    Candidate,
    candidate_of,
    stated_rate_of,
    tuned,
    used_part,
    with_flow,
)
from hexplan_solver.objectives.sustained.choice import Contest, choose
from hexplan_solver.objectives.sustained.improve import Search, improve
from hexplan_solver.objectives.sustained.params import SUSTAINED_PARAMS
from hexplan_solver.objectives.sustained.replicas import free_candidates, replica_candidates
from hexplan_solver.objectives.sustained.simple import simple_candidates
from hexplan_solver.objectives.sustained.split import spread
from hexplan_solver.objectives.sustained.starts import starts as segment_starts
from hexplan_solver.objectives.sustained.trial import Estimate, Trial, hasty_window, run_once
from hexplan_solver.replicas.grids import is_grid
from hexplan_solver.replicas.pool import is_of_replicas
from hexplan_solver.run import Run
from hexplan_solver.simulate import Policy


def search(run: Run, static: Evaluated, policy: Policy) -> Trial:
    """Return the candidate that serves most in the simulator; the formula finds the candidates.

    Where the effort is too little for trials, the formula decides, and one short run is made of
    the candidate that it chooses.

    Parameters
    ----------
    static
        The placement of largest flow. It is a reference twice, with the step limits of its own plan
        and with the largest steps: a mean request has to stay about as short as in one of the two.
    """
    reference = candidate_of(static.problem, static.placement, policy)
    assert reference is not None, "the placement of largest flow has a flow"
    references = distinct([tuned(reference), reference])
    found = all_starts(run, static, policy)
    first, *others = distinct(_candidates(run, found))[: SUSTAINED_PARAMS.most_candidates]
    every = distinct([*references, first, *best_grids(run, found), *others])
    least = SUSTAINED_PARAMS.hopeless * _most(every)
    usual = [*references, *(one for one in every[len(references) :] if rate_of(one) >= least)]
    budget = EffortBudget(run, SUSTAINED_PARAMS.trials_share, usual)
    if budget.is_short:  # not all will be tried, so more is worth knowing of each
        others = every[len(references) :]
        others.sort(key=lambda one: stated_rate_of(one).decode_tokens_per_s, reverse=True)
        every = [*references, *others]
    contest = Contest(len(references), SUSTAINED_PARAMS.latency_slack)
    if len(references) > 1 and not budget.affords(every[: len(references) + 2]):
        # The steps of its own plan are what the plan of largest flow would serve with.
        contest, every = Contest(1, contest.factor), [every[0], *every[len(references) :]]
    trials = choose(contest, every, budget)
    if trials is not None:
        return contest.best_of(trials)
    best = contest.best_of([Estimate.of(found) for found in every]).found
    return run_once(best, hasty_window(best, run.options.seed))


def best_grids(run: Run, found: Sequence[Candidate]) -> list[Candidate]:
    """Return the uniform placements of the largest rate by the formula, with their step limits.

    They are tried in any case, as the plan may not be behind what runs without a planner.
    """
    grids = sorted((one for one in found if is_grid(one.evaluated)), key=rate_of, reverse=True)
    limited = [tuned(one) if run.left_s else one for one in grids[: SUSTAINED_PARAMS.tuned_grids]]
    return sorted(limited, key=rate_of, reverse=True)[: SUSTAINED_PARAMS.most_grids]


def _candidates(run: Run, starts: Sequence[Candidate]) -> list[Candidate]:
    """Return the candidates of a large served rate by the formula.

    The first is the best of them with the largest steps, and the others follow by their rates.
    """
    found, params = leading(run, starts), SUSTAINED_PARAMS
    walks = Walks(params.walks_share, params.search_share, params.steps_per_stage)
    every = [*searched(run, found, walks), *found]
    cleaned = [tuned(spread(used_part(one))) if run.left_s else one for one in every]
    ranked = sorted(cleaned, key=rate_of, reverse=True)
    # The annealing finds what the formula takes for good, and where that errs, it errs most. So
    # starts are held against each other, not against what comes out of it.
    hopeful = [c for c in ranked if rate_of(c) >= params.hopeless * _most(found)]
    # Small steps make first tokens late, so the largest are tried first, even in a short time.
    return [tuned(ranked[0], halvings=0), *hopeful]


def all_starts(run: Run, static: Evaluated, policy: Policy) -> list[Candidate]:
    """Return every placement to start from: of largest flow, segments, simple ones, replicas."""
    if is_of_replicas(static.problem):
        own = replica_candidates(run, static.problem, policy)
        return distinct([with_flow(static, policy), *own])
    found = segment_starts(static, policy, run.options, run.left_s * SUSTAINED_PARAMS.starts_share)
    found += simple_candidates(run, static.problem, policy)
    return distinct([*found, *free_candidates(run, static.problem, policy)])


def leading(run: Run, found: Sequence[Candidate]) -> list[Candidate]:
    """Return the best starts with their step limits, the largest rate by the formula first.

    Where the time is up, they keep the step limits that they have.
    """
    ranked = sorted(found, key=rate_of, reverse=True)[: SUSTAINED_PARAMS.most_starts]
    limited = [tuned(one) if run.left_s else one for one in ranked]
    return sorted(limited, key=rate_of, reverse=True)


@dataclass(frozen=True, slots=True)
class Walks:
    """What the annealing may take."""

    effort: float
    """Share of the effort: from it follows the number of steps."""
    time: float
    """Share of the time left, after which the clock ends it."""
    steps_per_stage: int
    """Most steps of one walk for each stage."""
    most_tpot_s: float = math.inf
    """Beyond this a candidate counts for less (see `Search`)."""


def searched(run: Run, found: Sequence[Candidate], walks: Walks) -> list[Candidate]:
    """Search from the best starts, and then from the best found, each with its step limits."""
    params = SUSTAINED_PARAMS
    if is_of_replicas(found[0].evaluated.problem):
        return []  # its steps move stages out of their replicas
    until = run.elapsed_s + run.left_s * walks.time

    def may_go_on() -> bool:
        run.tell("sustained", None)
        return run.elapsed_s < until and run.left_s > 0

    results: list[Candidate] = []
    num_walks = params.fresh_walks + params.further_walks
    pace = int(params.pace * run.effort_s * walks.effort / num_walks)
    for attempt in range(num_walks):
        aim = Search(run.options.seed * num_walks + attempt, walks.most_tpot_s)
        is_fresh = attempt < params.fresh_walks
        start = found[attempt % min(2, len(found))] if is_fresh else max(results, key=aim.value)
        size = len(start.placement)
        walk = Walk(max(1, min(pace // size, walks.steps_per_stage * size)))
        better = improve(start, walk, aim, may_go_on)
        results.append(tuned(better) if run.left_s else better)
    return results


def rate_of(found: Candidate) -> float:
    """Return the rate by the formula."""
    return found.served.decode_tokens_per_s


def _most(found: Sequence[Candidate]) -> float:
    return max(map(rate_of, found))


def distinct(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Keep one candidate of each flow and rate: others like it differ only in names of hosts."""
    kept: dict[object, Candidate] = {}
    for candidate in candidates:
        kept.setdefault((candidate.evaluated.value, round(rate_of(candidate), 6)), candidate)
    return list(kept.values())
