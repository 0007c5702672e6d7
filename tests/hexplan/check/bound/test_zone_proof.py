"""Zone proofs: accepted as the planner makes them, refused with a box or a price less."""

from __future__ import annotations

from decimal import Decimal

from support.clusters import two_sites_with_a_trunk
from support.forged import forgeries, stating

from hexplan.bound_proof import ZoneProof
from hexplan.check import check_plan
from hexplan.plan import Plan
from hexplan_solver import SolveOptions, solve
from hexplan_solver.bounds.work_bound import work_bound
from hexplan_solver.bounds.zone_bound import zone_bound
from hexplan_solver.budget import Budget
from hexplan_solver.problem.problem import build_problem
from hexplan_solver.problem.zones import zones_of

MICRO = 10**6


def _two_sites() -> tuple[Plan, ZoneProof]:
    """Return two sites that pass 100 tokens/s each alone, with 10 more over a trunk each way."""
    spec = two_sites_with_a_trunk()
    problem = build_problem(spec)
    bound = work_bound(problem)
    proved = zone_bound(problem, zones_of(problem, bound), Budget(20, bound, MICRO))
    assert proved is not None
    assert proved.how.kind == "zone"
    plan = solve(spec, SolveOptions(method="separate"))
    return stating(plan, Decimal(proved.micro_tokens_per_s) / MICRO, proved.how), proved.how


PLAN, PROOF = _two_sites()


def test_a_zone_proof_passes_as_the_planner_makes_it() -> None:
    assert check_plan(PLAN) == ()
    # Each site passes 100 alone, and 10 more cross.
    assert 200 <= PLAN.certificate.bound_tokens_per_s <= 212


def test_a_plan_with_a_zone_proof_survives_its_file() -> None:
    text = PLAN.model_dump_json(by_alias=True)
    assert check_plan(Plan.model_validate_json(text)) == ()


def test_no_box_and_no_price_can_be_left_out() -> None:
    passed = [forgery.sentence for forgery in forgeries(PLAN) if check_plan(forgery.plan) == ()]
    assert passed == []


def test_a_bound_below_what_can_flow_is_not_proved() -> None:
    # 200 tokens/s flow if each site serves by itself.
    assert check_plan(stating(PLAN, Decimal(200), PROOF)) != ()


def test_a_zone_proof_says_which_box_is_open() -> None:
    flow = PLAN.certificate.flow_tokens_per_s
    (found,) = check_plan(stating(PLAN, flow, PROOF))
    assert found.rule == "HEX801"
    assert "box" in found.message
