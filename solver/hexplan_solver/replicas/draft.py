"""The draft of largest flow among those of whole replicas."""

from __future__ import annotations

from collections.abc import Callable

from hexplan.engines import ENGINES, Engine, unread_format
from hexplan.errors import InputError, LimitReached
from hexplan_solver.bounds.pattern_bound import pattern_bound
from hexplan_solver.budget import Budget
from hexplan_solver.flow.evaluate import Evaluated
from hexplan_solver.plans.draft import Draft
from hexplan_solver.problem.problem import Problem
from hexplan_solver.replicas.params import REPLICA_PARAMS
from hexplan_solver.replicas.pool import replica_pool
from hexplan_solver.run import MILP_TOLERANCE, Run


def draft_of_replicas(
    run: Run, problem: Problem, merit: Callable[[Evaluated], float] | None = None
) -> Draft:
    """Return the replicas of largest flow that were found, the fewest stages among equals.

    The bound is that on every plan: it holds for those of the engine, too, though it may be far
    above what they can reach.

    Parameters
    ----------
    merit
        What the placement is chosen by, if not by its flow.

    Raises
    ------
    LimitReached
        If no replica was found.
    InputError
        If a host is pinned to layers, which this search does not support, or if the engine does not
        share work as the spec asks, or does not read the model's weights.
    """
    engine = ENGINES[problem.spec.cluster.limits.engine]
    _refuse_unsupported(problem, engine)
    pool = replica_pool(run, problem)
    if not pool:
        message = f"no replica was found that {engine.title} runs on these hosts"
        raise LimitReached(message, hint="`limits: {engine: hexplan}` allows every plan")
    best = _fewest_stages(pool) if merit is None else max(pool, key=merit)
    if not run.is_proved(best.value):
        seconds = min(REPLICA_PARAMS.bound_s, run.left_s * REPLICA_PARAMS.bound_share)
        budget = Budget(seconds, run.bound, best.value)
        proved = pattern_bound(problem, budget)
        if proved is not None:
            run.lower(proved)
    return Draft(best, run.proof(best.value))


def _refuse_unsupported(problem: Problem, engine: Engine) -> None:
    ways = problem.spec.cluster.limits.parallel
    unread = unread_format(problem.spec.model, engine)
    if problem.is_pinned:
        message = f"`limits.engine: {engine.name}` does not go together with hosts pinned to layers"
        raise InputError(message, hint="remove the pins, or `limits.engine`")
    if engine.tensor_only and ways != ("tp",):
        message = f"`limits.parallel` lists {', '.join(ways)}, needed tp alone for {engine.title}"
        raise InputError(message, hint="remove `limits.parallel`, or `limits.engine`")
    if unread is not None:
        message = f"{engine.title}: {unread.sentence}"
        raise InputError(message, hint=unread.hint)


def _fewest_stages(pool: list[Evaluated]) -> Evaluated:
    least = pool[0].value * (1 - MILP_TOLERANCE)
    equal = [one for one in pool if one.value >= least]
    return min(equal, key=lambda one: len(one.placement))
