"""Bounds that somebody lowered: none passes, whatever proof is put beside it."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.brute import best_flow
from support.clusters import host, profile, spec_of, tiny_model
from support.forged import forgeries, stating

from hexplan.bound_proof import (
    BoundProof,
    CoordinatorProof,
    CrossingProof,
    GroupPrice,
    PatternProof,
    WorkProof,
)
from hexplan.check import check_plan
from hexplan.plan import Plan
from hexplan.reading import read_spec
from hexplan_solver import SolveOptions, solve

FOLDER = Path(__file__).parents[4] / "cluster_specs"
QUICK = ("four-single-a100s", "helix-single24-l4-llama30b", "home-lab", "laptop")
FILES = sorted(path.stem for path in FOLDER.glob("*.yaml"))
SOLVE_S = 3.0
"""Enough for a plan with a bound; how close they are does not matter here."""
CLOSE = Decimal("0.000002")
"""A gap that small counts as none: there the bound may be the flow."""


def _solved(name: str) -> Plan:
    return solve(read_spec(FOLDER / f"{name}.yaml"), SolveOptions(time_limit_s=SOLVE_S))


def _assert_no_forgery_passes(plan: Plan) -> None:
    assert check_plan(plan) == ()
    if plan.certificate.gap <= CLOSE:
        return
    passed = [forgery.sentence for forgery in forgeries(plan) if check_plan(forgery.plan) == ()]
    assert passed == []


@pytest.mark.parametrize("name", QUICK)
def test_a_fresh_plan_passes_and_its_forgeries_do_not(name: str) -> None:
    _assert_no_forgery_passes(_solved(name))


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted({*FILES} - {*QUICK}))
def test_every_example_passes_and_its_forgeries_do_not(name: str) -> None:
    _assert_no_forgery_passes(_solved(name))


SPEC = spec_of(
    tiny_model(4),
    [host("a", ["d0", "d0"]), host("b", ["d0"]), host("c", ["d1"])],
    profiles=[
        profile("d0", [200, 90, 55]),
        profile("d0", [310, 150, 96, 60], 2),
        profile("d1", [120, 62, 30, 14]),
    ],
)
PLAN = solve(SPEC, SolveOptions(method="swarm"))
"""A plan of a simple method, so that better ones exist."""
BEST = Decimal(best_flow(SPEC)) / 10**6
GROUPS = (("a", ("d0",)), ("a", ("d0", "d0")), ("c", ("d1",)))

prices = st.builds(
    lambda amounts: PatternProof(
        prices=tuple(
            GroupPrice(host=name, devices=devices, price=amount)
            for (name, devices), amount in zip(GROUPS, amounts, strict=True)
        )
    ),
    st.tuples(*[st.decimals(0, 10, places=9) for _ in GROUPS]),
)
proofs: st.SearchStrategy[BoundProof] = st.one_of(
    prices,
    st.sampled_from([CoordinatorProof(), WorkProof(), CrossingProof(), CrossingProof(zones=())]),
    st.just(CrossingProof(zones=(("lab",),))),
)


def test_the_plan_leaves_something_to_find() -> None:
    assert PLAN.certificate.flow_tokens_per_s < BEST


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(proof=proofs, share=st.decimals(0, 1, places=6))
def test_no_proof_passes_for_a_bound_below_the_best_placement(
    proof: BoundProof, share: Decimal
) -> None:
    # The best of all placements was found by trying every one, without planner and check.
    flow = PLAN.certificate.flow_tokens_per_s
    bound = flow + ((BEST - flow) * share).quantize(Decimal("0.000001")) - Decimal("0.001")
    assert check_plan(stating(PLAN, max(flow, bound), proof)) != ()
