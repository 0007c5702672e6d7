"""The program that gains columns, against one solved at once."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from hexplan_solver.segments.column_lp import ColumnLp, LpColumn, RowBounds

LIMITS = (7.0, 5.0, 9.0)

columns = st.builds(
    lambda gain, amounts: LpColumn(float(gain), list(enumerate(map(float, amounts)))),
    st.integers(-3, 20),
    st.lists(st.integers(1, 6), min_size=len(LIMITS), max_size=len(LIMITS)),
)


def best_at_once(chosen: list[LpColumn]) -> float:
    amounts = np.array([[amount for _, amount in column.entries] for column in chosen]).T
    found = linprog([-column.gain for column in chosen], A_ub=amounts, b_ub=LIMITS)
    return float(-found.fun)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(columns, max_size=4), min_size=1, max_size=4))
def test_a_program_that_gained_columns_gains_as_much_as_one_solved_at_once(
    batches: list[list[LpColumn]],
) -> None:
    program = ColumnLp([RowBounds(-np.inf, limit) for limit in LIMITS])
    known: list[LpColumn] = []
    for batch in batches:
        program.add(batch)
        known += batch
        gain, duals = program.solve()
        assert gain == pytest.approx(best_at_once(known) if known else 0.0, abs=1e-6)
        # Strong duality: what the rows are worth is what is gained, and no column gains more.
        assert sum(d * limit for d, limit in zip(duals, LIMITS, strict=True)) == pytest.approx(
            gain, abs=1e-6
        )
        for column in known:
            price = sum(duals[row] * amount for row, amount in column.entries)
            assert column.gain <= price + 1e-6


def test_a_row_that_must_be_met_has_a_price_of_either_sign() -> None:
    program = ColumnLp([RowBounds(1.0, 1.0)])
    program.add([LpColumn(-5.0, [(0, 1.0)])])
    assert program.solve() == (-5.0, [-5.0])
    program.add([LpColumn(2.0, [(0, 1.0)])])
    assert program.solve() == (2.0, [2.0])
