"""What users measured is close to what their plans predict."""

from __future__ import annotations

from dataclasses import replace

import pytest
from support.trials import ALIKE, TRIALS, Trial, at_rate, checked, plan_of, spec_of

from hexplan.plan import Plan

SLOW = {"15b"}
"""Rows whose plans take longer than a few seconds."""


def marks(trial: Trial) -> list[pytest.MarkDecorator]:
    found = [pytest.mark.slow] if trial.row in SLOW or trial.users > 100 else []
    return [*found, pytest.mark.xfail(strict=True, reason=trial.why)] if trial.why else found


def with_rate(row: str, requests_per_h: float) -> Plan:
    spec = spec_of(row)
    update = {"request_rate_per_s": requests_per_h / 3600}
    return checked(replace(spec, workload=spec.workload.model_copy(update=update)))


def stated_over_simulated(plan: Plan) -> float:
    """Return the stated TPOT over that of requests that arrive at the workload's rate."""
    assert plan.workload.request_rate_per_s is not None
    assert plan.predicted.tpot_s is not None
    outcome = at_rate(plan, plan.workload.request_rate_per_s)
    assert outcome.tpot is not None
    return float(plan.predicted.tpot_s) / outcome.tpot.mean_s


@pytest.mark.parametrize(
    "trial",
    [pytest.param(trial, id=trial.name, marks=marks(trial)) for trial in TRIALS if trial.is_like],
)
def test_what_a_user_measured_is_close_to_what_the_plan_predicts(trial: Trial) -> None:
    low, high = ALIKE
    assert low <= trial.predicted() / trial.measured <= high


@pytest.mark.parametrize(
    "row", ["01", "04b", *(pytest.param(row, marks=pytest.mark.slow) for row in ("10", "18"))]
)
def test_the_stated_tpot_is_that_of_the_simulation_at_low_load(row: str) -> None:
    assert stated_over_simulated(with_rate(row, 1 / 6)) == pytest.approx(1, rel=0.1)


@pytest.mark.parametrize(
    "row",
    [
        "01",
        "04b",
        *(pytest.param(row, marks=pytest.mark.slow) for row in ("10", "18")),
    ],
)
def test_the_stated_tpot_is_that_of_the_simulation_at_the_user_s_rate(row: str) -> None:
    assert stated_over_simulated(plan_of(row)) == pytest.approx(1, rel=0.1)
