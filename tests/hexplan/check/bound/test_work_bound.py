"""The work bound and the coordinator's, by sums on paper and beside the planner's own."""

from __future__ import annotations

from decimal import Decimal

import pytest
from support.changes import change_certificate
from support.plans import profiled_plan, resealed

from hexplan.bound_proof import WorkProof
from hexplan.check import check_plan
from hexplan.check.bound.supply import supply_of
from hexplan.check.bound.work import coordinator_bound, largest_flow, work_bound
from hexplan.check.lookup import Lookup
from hexplan.cluster import Exclusion, LayerPin
from hexplan.plan import Plan

PLAN = profiled_plan()
"""Two hosts Quick that pass 160, 120, 90, 60 tokens/s with 1 to 4 layers, and two hosts Slow that
pass 70, 50, 35 with 1 to 3. The model has 6 layers."""


def _bound(plan: Plan) -> int:
    return work_bound(supply_of(Lookup.of(plan)), plan.model.layers)


def test_the_coordinator_passes_a_token_id_of_4_bytes_each_way() -> None:
    assert coordinator_bound(PLAN.cluster) == 250_000_000_000  # 1 MB/s


def test_the_work_of_all_hosts_is_shared_by_the_layers() -> None:
    # Quick does most with 3 layers at 90, and Slow with 3 at 35: 2 x 270 + 2 x 105 = 6 x 125.
    assert _bound(PLAN) == 125_000_000


def test_no_stage_counts_for_more_than_the_flow() -> None:
    # One Quick alone: 240 with 4 layers at 60 is more than 3 layers at 42.
    alone = resealed(PLAN, exclusions=tuple(Exclusion(host=name) for name in "acd"))
    # With F below 60 it holds 4 layers: 4 F < 6 F, so nothing flows.
    assert _bound(alone) == 0


def test_a_pinned_host_counts_with_its_own_layers() -> None:
    # b must hold [0, 4), at 60: 240 instead of 270.
    pinned = resealed(PLAN, layer_pins=(LayerPin(host="b", layers=(0, 4)),))
    assert _bound(pinned) == 120_000_000


@pytest.mark.parametrize(
    ("stated", "gap", "is_proved"), [("125", "0.470589", True), ("124.999", "0.470577", False)]
)
def test_a_plan_may_state_what_the_work_bound_proves_and_no_less(
    stated: str, gap: str, is_proved: bool
) -> None:
    plan = change_certificate(
        PLAN, bound_tokens_per_s=Decimal(stated), gap=Decimal(gap), proof=WorkProof()
    )
    found = check_plan(plan)
    assert (found == ()) is is_proved
    if not is_proved:
        (violation,) = found
        assert violation.where == "certificate, bound"
        assert violation.message == "states 124.999 tokens/s, but the work bound is 125 tokens/s"


def test_the_largest_flow_is_found_among_whole_numbers() -> None:
    assert largest_flow(lambda flow: min(flow, 10) * 3, 2) == 15
    assert largest_flow(lambda flow: 0, 2) == 0
