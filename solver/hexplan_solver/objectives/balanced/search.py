"""The search: candidates of every kind, of which the shallowest says what latencies are allowed."""

from __future__ import annotations

from collections.abc import Sequence

from hexplan_solver.flow.evaluate import Evaluated
from hexplan_solver.objectives.balanced.choice import Balanced, choose
from hexplan_solver.objectives.balanced.limits import Limits, shallowest_of
from hexplan_solver.objectives.balanced.params import BALANCED_PARAMS
from hexplan_solver.objectives.sustained.budget import EffortBudget, share_for
from hexplan_solver.objectives.sustained.candidate import Candidate, candidate_of, tuned, used_part
from hexplan_solver.objectives.sustained.search import (
    Walks,
    all_starts,
    best_grids,
    distinct,
    leading,
    rate_of,
    searched,
)
from hexplan_solver.objectives.sustained.split import spread
from hexplan_solver.run import Run
from hexplan_solver.simulate import Policy


def search(run: Run, static: Evaluated, policy: Policy, factor: float) -> Balanced:
    """Return the candidate that serves most at latencies within a factor of the shallowest's.

    Parameters
    ----------
    static
        The placement of largest flow.
    factor
        How many times the TTFT and the TPOT of the shallowest candidate are allowed.
    """
    found = all_starts(run, static, policy)
    limits = Limits(shallowest_of(found), factor, run.options.is_robust)
    best, *rest = _ranked(run, found, limits)
    flow = candidate_of(static.problem, static.placement, policy)
    assert flow is not None, "the placement of largest flow has a flow"
    grids = best_grids(run, found)
    every = distinct([limits.shallowest.found, best, tuned(flow), *grids, *rest])
    every = every[: BALANCED_PARAMS.most_candidates]
    return choose(limits, every[1:], _budget(run, every))


def _ranked(run: Run, found: Sequence[Candidate], limits: Limits) -> list[Candidate]:
    """Return the candidates of a large rate, those that are fast enough by the formula first."""
    params = BALANCED_PARAMS
    starts = sorted(leading(run, found), key=limits.is_deep)
    walks = Walks(
        params.walks_effort, params.walks_time, params.steps_per_stage, limits.most_tpot_s
    )
    every = [*searched(run, starts, walks), *starts]
    cleaned = [tuned(spread(used_part(one))) if run.left_s else one for one in every]
    # With the step limits that serve most, latencies may exceed what they keep to with these.
    fast = [spread(used_part(one)) for one in found if run.left_s and limits.grade(one) == 0]
    cleaned = distinct([*cleaned, *fast]) if fast else cleaned
    late = [limits.grade(one) if run.left_s else limits.is_deep(one) for one in cleaned]
    order = sorted(range(len(cleaned)), key=lambda i: (late[i], -rate_of(cleaned[i])))
    least = params.hopeless * rate_of(cleaned[order[0]])
    ranked = [cleaned[i] for i in order if rate_of(cleaned[i]) >= least]
    # Where the time is up, each candidate more takes time that there is not.
    return ranked if run.left_s else ranked[: params.late_candidates]


def _budget(run: Run, expected: Sequence[Candidate]) -> EffortBudget:
    """Return the budget of trials: on a small cluster a few seconds are enough."""
    share = share_for(run, expected[0].evaluated.problem.spec, BALANCED_PARAMS)
    # Each trial is two runs: with a full KV cache, and with a part of its load.
    return EffortBudget(run, share, [*expected, *expected])
