"""Candidates of whole replicas, for engines that run no others."""

from __future__ import annotations

from hexplan_solver.flow.evaluate import Evaluated, evaluate
from hexplan_solver.objectives.sustained.candidate import Candidate, with_flow
from hexplan_solver.replicas.design import Design
from hexplan_solver.replicas.naming import named
from hexplan_solver.replicas.pool import replica_pool
from hexplan_solver.run import Run
from hexplan_solver.simulate import Policy


def replica_candidates(run: Run, static: Evaluated, policy: Policy) -> list[Candidate]:
    """Return packings of replicas by their flow and by what each serves alone, by the formula.

    Replicas share no stage, so what they serve adds up, links aside.
    """
    problem = static.problem

    def served(design: Design) -> float:
        replicas = named(problem, [design])
        alone = evaluate(problem, replicas[0]) if replicas else None
        if alone is None or not alone.value:
            return 0.0
        return with_flow(alone, policy).served.decode_tokens_per_s

    return [with_flow(one, policy) for one in replica_pool(run, problem, served)]
