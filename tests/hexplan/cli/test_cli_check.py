"""`hexplan check --simulate`: simulated figures come out the same, or the plan is refused."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path

import pytest
from support.changes import change_predicted
from support.made_plans import made_plan
from support.shell import Shell

from hexplan.check import REPEATED_RULES, RULES, check_plan
from hexplan.plan import Objective, Plan
from hexplan.plan_file import write_plan
from hexplan_solver.repeat import repeat

ALL = len(RULES) + len(REPEATED_RULES)


def checked(hexplan: Shell, plan: Plan, folder: Path, *options: str) -> tuple[int, str]:
    path = folder / "plan.json"
    write_plan(plan, path)
    ran = hexplan("check", path, *options)
    return ran.code, ran.out


@pytest.mark.parametrize("objective", ["throughput", "sustained", "latency", "slo"])
def test_the_figures_of_a_plan_come_out_the_same(
    hexplan: Shell, tmp_path: Path, objective: Objective
) -> None:
    plan = made_plan("laptop", objective)
    code, out = checked(hexplan, plan, tmp_path, "--simulate")
    assert (code, out) == (0, f"ok: {ALL} rules hold\n")


@pytest.mark.parametrize(
    ("objective", "field", "figures"),
    [
        ("sustained", "requests_per_s", "simulated"),
        ("sustained", "ttft_s", "simulated"),
        ("latency", "tpot_s", "times"),
        ("slo", "ttft_s", "times"),
    ],
)
def test_a_figure_that_is_a_little_off_is_refused_with_its_place(
    hexplan: Shell, tmp_path: Path, objective: Objective, field: str, figures: str
) -> None:
    plan = made_plan("laptop", objective)
    sustained = plan.predicted.sustained
    if figures == "simulated":
        assert sustained is not None
        assert sustained.simulated is not None
        more = getattr(sustained.simulated, field) + Decimal("0.000001")
        run = sustained.simulated.model_copy(update={field: more})
        changed = change_predicted(plan, sustained=sustained.model_copy(update={"simulated": run}))
        where = f"prediction, sustained, simulated, {field}"
    else:
        more = getattr(plan.predicted, field) + Decimal("0.000001")
        changed, where = change_predicted(plan, **{field: more}), f"prediction, {field}"
    assert checked(hexplan, changed, tmp_path)[0] == 0
    code, out = checked(hexplan, changed, tmp_path, "--simulate", "--format", "json")
    verdict = json.loads(out)
    assert (code, verdict["ok"]) == (4, False)
    assert [(found["rule"], found["where"]) for found in verdict["violations"]] == [
        ("HEX901", where)
    ]


def test_what_the_rules_refuse_is_not_simulated(hexplan: Shell, tmp_path: Path) -> None:
    plan = change_predicted(made_plan("laptop", "throughput"), tokens_per_s=Decimal(1))
    code, out = checked(hexplan, plan, tmp_path, "--simulate")
    assert code == 4
    assert "HEX710" in out
    assert "HEX901" not in out


def test_runs_without_end_are_refused_with_a_hint(hexplan: Shell, tmp_path: Path) -> None:
    plan = made_plan("laptop", "slo")
    run = plan.predicted.run
    assert run is not None
    endless = run.model_copy(update={"duration_s": Decimal(10**12), "requests": 10**15})
    basis = f"simulation of {endless.requests} requests at the SLO's rate"
    changed = change_predicted(plan, run=endless, latency_basis=basis)
    path = tmp_path / "plan.json"
    write_plan(changed, path)
    ran = hexplan("check", path, "--simulate")
    assert ran.code == 2
    assert "needed at most" in ran.err
    assert "hint: " in ran.err


def test_a_repetition_changes_nothing_but_what_was_simulated() -> None:
    plan = made_plan("laptop", "sustained")
    assert repeat(plan) == plan.predicted
    assert check_plan(plan, repeat(plan)) == ()
