"""The flow program against the evaluator, which solves every flow arc by arc."""

from __future__ import annotations

import random

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from support.random_clusters import WILD, Dials, random_spec

from hexplan_solver.flow.evaluate import evaluate
from hexplan_solver.flow.flow_program import FlowProgram
from hexplan_solver.links.moves import Moves
from hexplan_solver.placement.chain import fill_chain
from hexplan_solver.placement.naming import place
from hexplan_solver.placement.placement import Placement
from hexplan_solver.problem.problem import Problem, build_problem

ROUNDED = 50
"""Flows may differ by what each stage and link loses to rounding, in 1e-6 tokens/s."""
MODEST = Dials((2, 8), (2, 5), 4, 10, (10.0, 1000.0), (1e9, 1e9), is_wild=False)
"""Many links bind, and no capacity is many powers of ten from another."""


def walked(problem: Problem, seed: int, steps: int) -> Placement:
    """Return a placement some random changes away from the first one."""
    counts = fill_chain(problem)
    assert counts is not None
    moves = Moves(problem, random.Random(seed))
    placement = place(problem, counts)
    for _ in range(steps):
        placement = moves.neighbour(placement) or placement
    return placement


@settings(deadline=None, max_examples=60)
@given(seed=st.integers(0, 10**6), steps=st.integers(0, 30))
def test_the_program_agrees_with_the_evaluator(seed: int, steps: int) -> None:
    problem = build_problem(random_spec(seed, MODEST, 1.0))
    assume(not problem.is_pinned and fill_chain(problem) is not None)
    placement = walked(problem, seed, steps)
    exact = evaluate(problem, placement).value
    assert FlowProgram(problem).flow(placement) == pytest.approx(exact, rel=1e-6, abs=ROUNDED)


def test_one_program_values_many_placements_of_a_problem_alike() -> None:
    problem = next(
        found
        for found in (build_problem(random_spec(seed, MODEST, 1.0)) for seed in range(50))
        if len(found.classes) > 2 and fill_chain(found) is not None
    )
    program = FlowProgram(problem)
    for seed in range(20):
        placement = walked(problem, seed, 12)
        assert program.flow(placement) == FlowProgram(problem).flow(placement)


def test_wild_clusters_are_never_valued_above_their_flow_by_more_than_the_tolerance() -> None:
    for seed in range(40):
        problem = build_problem(random_spec(seed, WILD, 1.0))
        counts = fill_chain(problem)
        if counts is None:
            continue
        placement = place(problem, counts)
        exact = evaluate(problem, placement).value
        assert FlowProgram(problem).flow(placement) <= exact * (1 + 1e-5) + ROUNDED
