"""No plan is accepted that was forged, whatever was forged and for whatever objective it is."""

from __future__ import annotations

import pytest
from support.forgeries import FORGERIES
from support.made_plans import OBJECTIVES, SPECS, made_plan

from hexplan.check import check_plan
from hexplan.plan import Objective

QUICK = ("laptop", "four-single-a100s")
NAMES = [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in SPECS]


@pytest.mark.parametrize("forgery", FORGERIES)
@pytest.mark.parametrize("name", NAMES)
def test_a_forged_plan_of_an_example_is_refused(name: str, forgery: str) -> None:
    plan = made_plan(name, "throughput")
    forged = FORGERIES[forgery](plan)
    if forged is None:
        pytest.skip("the plan states nothing of the kind")
    assert check_plan(forged) != ()


@pytest.mark.parametrize("forgery", FORGERIES)
@pytest.mark.parametrize("objective", OBJECTIVES)
def test_a_forged_plan_for_any_objective_is_refused(objective: Objective, forgery: str) -> None:
    forged = FORGERIES[forgery](made_plan("laptop", objective))
    if forged is None:
        pytest.skip("the plan states nothing of the kind")
    assert check_plan(forged) != ()


@pytest.mark.parametrize("forgery", FORGERIES)
def test_every_forgery_changes_some_plan(forgery: str) -> None:
    plans = [made_plan("laptop", objective) for objective in OBJECTIVES]
    plans.append(made_plan("four-single-a100s", "throughput"))
    forged = [(plan, FORGERIES[forgery](plan)) for plan in plans]
    assert any(changed not in (None, plan) for plan, changed in forged)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_the_plan_itself_is_accepted(objective: Objective) -> None:
    assert check_plan(made_plan("laptop", objective)) == ()


@pytest.mark.slow
@pytest.mark.parametrize("name", SPECS)
def test_the_plan_of_every_example_is_accepted(name: str) -> None:
    assert check_plan(made_plan(name, "throughput")) == ()
