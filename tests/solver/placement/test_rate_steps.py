"""Rates as steps of a target."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from hexplan_solver.placement.rate_steps import rate_steps

HUGE = 2**62 - 1


@given(st.lists(st.integers(0, HUGE), min_size=1), st.integers(1, HUGE), st.integers(1, 10**4))
def test_steps_are_rounded_up_and_at_most_all(
    rates: list[int], target: int, num_steps: int
) -> None:
    steps = rate_steps(np.array(rates, dtype=np.int64), target, num_steps).tolist()
    for rate, found in zip(rates, steps, strict=True):
        exact = min(num_steps, -(-rate * num_steps // target))
        # Of targets beyond 2**40 the last bits are left out.
        assert exact <= found <= min(num_steps, exact + (1 if target >= 2**40 else 0))
