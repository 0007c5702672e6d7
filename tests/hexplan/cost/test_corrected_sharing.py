"""Corrections were seen of tensor-parallel stages: those that share tokens are left alone."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Literal

import pytest
from support.clusters import device_type, host, spec_of, tiny_model
from support.observed import Run, observe
from support.plans import resealed
from support.shared_plans import pair_plan

from hexplan.check import check_plan
from hexplan.cluster import Cluster, Correction, GroupPin, Limits, Parallel
from hexplan.cost import DeviceShard, ShardSizes, StageShape, stage_speed
from hexplan.cost.sharing import TENSOR, Sharing
from hexplan.cost.stage_step_times import stage_step_times
from hexplan.measured.calibration.calibrate import calibrate
from hexplan.spec import Spec
from hexplan_solver import SolveOptions, solve
from hexplan_solver.simulate import Constant, FixedLengths, Window, pipeline_of_plan, simulate

SHARINGS = [Sharing("sp"), Sharing("shift", 12)]


def slow(device: str = "d") -> Correction:
    """Return what makes two of a device far slower, if it counts."""
    return Correction(
        device=device,
        tp=2,
        prefill=Decimal(3),
        decode=Decimal(5),
        layer_step_s=Decimal("0.001"),
        error=Decimal("0.07"),
        source="made up",
    )


def pair(way: Parallel = "tp") -> Spec:
    limits = Limits(solve_time_s=5.0, parallel=(way,))
    pins = (GroupPin(host="h", devices=(0, 1)),)
    return spec_of(tiny_model(4), [host("h", ["d", "d"])], limits=limits, group_pins=pins)


def corrected(cluster: Cluster) -> Cluster:
    return cluster.model_copy(update={"corrections": (slow(),)})


def shape(spec: Spec, sharing: Sharing) -> StageShape:
    group = (DeviceShard(device_type("d"), ShardSizes(2, 64, 128)),) * 2
    return StageShape((0, 4), group, spec.cluster.hosts[0].interconnect, sharing)


@pytest.mark.parametrize("sharing", SHARINGS)
def test_the_speed_of_a_stage_that_shares_tokens_is_not_corrected(sharing: Sharing) -> None:
    spec = pair()
    specs = spec, replace(spec, cluster=corrected(spec.cluster))
    before, after = (stage_speed(s, shape(s, sharing), 4_000) for s in specs)
    assert before == after
    tensor = [stage_speed(s, shape(s, TENSOR), 4_000) for s in specs]
    assert tensor[0].micro_tokens_per_s > 3 * tensor[1].micro_tokens_per_s


@pytest.mark.parametrize("sharing", SHARINGS)
@pytest.mark.parametrize("decode", [2, 64])
def test_its_step_times_are_not_corrected_in_either_mode(sharing: Sharing, decode: int) -> None:
    spec = pair()
    before, after = (
        stage_step_times(s, shape(s, sharing))
        for s in (spec, replace(spec, cluster=corrected(spec.cluster)))
    )
    step = (0, 0.0, decode, decode * 50.0)
    assert before.layer_s(*step) == after.layer_s(*step) > 0
    assert before.head_s(decode) == after.head_s(decode) > 0
    assert before.origin == after.origin == "datasheet"


@pytest.mark.parametrize("way", ["tp", "sp", "shift"])
def test_a_plan_of_corrected_devices_passes_the_check_however_they_share(way: Parallel) -> None:
    spec = pair(way)
    plan = solve(Spec(corrected(spec.cluster), spec.model, spec.workload), SolveOptions())
    assert [str(violation) for violation in check_plan(plan)] == []
    (stage,) = plan.stages
    assert stage.parallel == way
    assert stage.speed_origin == ("datasheet, corrected" if way == "tp" else "datasheet")
    assert (stage.speed_error == Decimal("0.07")) == (way == "tp")


@pytest.mark.parametrize("way", ["sp", "shift"])
def test_the_check_takes_a_plan_by_hand_as_good_with_a_correction_as_without(
    way: Literal["sp", "shift"],
) -> None:
    plan = pair_plan(way)
    slower = resealed(plan, corrections=(slow("Big"),))
    assert check_plan(slower) == ()
    traffic = Constant(1.0, FixedLengths(20, 10))
    runs = [simulate(pipeline_of_plan(p), traffic, window=Window(5.0, 0.0)) for p in (plan, slower)]
    assert runs[0] == runs[1]


@pytest.mark.parametrize("way", ["sp", "shift"])
def test_what_was_observed_of_such_a_stage_is_compared_and_gives_no_correction(
    way: Literal["sp", "shift"],
) -> None:
    plan = pair_plan(way)
    calibration = calibrate(plan, observe(plan, Run((slow("Big"),))), "2026-11-25")
    (stage,) = calibration.stages
    assert [phase.ratio for phase in stage.phases] == pytest.approx([1.0, 1.0])
    assert calibration.groups == ()
    assert f"s0: it is {way}, and only tp stages are corrected" in calibration.remarks
