"""The worlds of a plan, by hand."""

from __future__ import annotations

from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.changes import change_stage
from support.plans import two_hosts_plan

from hexplan.results.robustness import Part, Speed, robustness, robustness_of_plan

A = Speed(("A100",), 0.2)
T = Speed(("T4",), 0.2)


def test_a_speed_that_is_known_exactly_leaves_the_flow_as_it_is() -> None:
    found = robustness([Part(1.0), Part(1.5)])
    assert (found.p5, found.median, found.p95) == (1, 1, 1)


def test_one_type_spreads_the_flow_evenly_over_its_error() -> None:
    # Of a uniform share in [0.8, 1.2] the quantiles are 0.82, 1 and 1.18; 100 draws are near.
    found = robustness([Part(1.0, A)])
    expected = 0.82, 1.0, 1.18
    assert (found.p5, found.median, found.p95) == pytest.approx(expected, abs=0.05)


def test_two_types_in_a_chain_are_slower_than_one_and_stages_of_one_type_err_together() -> None:
    alone = robustness([Part(1.0, A)])
    assert robustness([Part(1.0, A), Part(1.0, A)]) == alone
    both = robustness([Part(1.0, A), Part(1.0, T)])
    assert both.median < alone.median
    assert robustness([Part(1.0, Speed(("A100", "T4"), 0.2))]) == both


def test_headroom_keeps_the_flow_and_a_full_link_bounds_it() -> None:
    assert robustness([Part(1.3, A), Part(1.0)]).p5 == 1
    assert robustness([Part(1.0, A)], cut=[Part(0.5, A), Part(0.5)]).p95 < 1.1


@given(st.lists(st.tuples(st.floats(1, 3), st.floats(0, 0.9)), min_size=1, max_size=6))
def test_quantiles_rise_and_stay_within_the_errors(parts: list[tuple[float, float]]) -> None:
    made = [Part(room, Speed((f"d{i}",), error)) for i, (room, error) in enumerate(parts)]
    found = robustness(made)
    quantiles = [found.p5, found.median, found.p95]
    assert all(low <= high for low, high in pairwise(quantiles))
    assert found.p5 >= min(room * (1 - error) for room, error in parts) - 1e-9
    assert found.p95 <= min(room * (1 + error) for room, error in parts) + 1e-9


def test_a_plan_whose_speeds_are_less_certain_passes_less_in_the_worst_worlds() -> None:
    sure, unsure = two_hosts_plan(), two_hosts_plan()
    for index in range(len(sure.stages)):
        sure = change_stage(sure, index, speed_error=Decimal(0))
        unsure = change_stage(unsure, index, speed_error=Decimal("0.5"))
    assert robustness_of_plan(sure).p5 == pytest.approx(1)
    assert robustness_of_plan(unsure).p5 < robustness_of_plan(sure).p5
