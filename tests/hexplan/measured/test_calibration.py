"""Calibration: the fit finds the factors of a distortion, and says when it cannot."""

from __future__ import annotations

import random
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
from support.observed import Run, observe
from support.plans import mixed_stage_plan, profiled_plan, resealed, two_hosts_plan

from hexplan.cluster import Correction
from hexplan.measured.calibration.calibrate import Calibration, calibrate
from hexplan.measured.calibration.fit import fit_factors
from hexplan.measured.calibration.groups import Basis, Kind, fit_group
from hexplan.measured.calibration.steps import StepReader, TimedStep
from hexplan.measured.observations import Load, Observations, StepSeen, TransferSeen
from hexplan.measured.overlay_file import write_corrections
from hexplan.plan import Plan
from hexplan.reading.corrections import with_corrections
from hexplan.reading.overlays import read_overlay

DAY = "2026-11-25"


def truth(
    device: str, tp: int, prefill: float, decode: float, layer_step_s: float = 0.0
) -> Correction:
    figures = (Decimal(str(figure)) for figure in (prefill, decode, layer_step_s))
    names = ("prefill", "decode", "layer_step_s")
    exact = dict(zip(names, figures, strict=True))
    return Correction(device=device, tp=tp, error=Decimal("0.1"), source="made up", **exact)


BIG, SMALL = truth("Big", 2, 3.0, 0.4), truth("Small", 1, 0.7, 2.5)
SLOW_STEPS = truth("Small", 1, 0.8, 1.5, 0.0004)


def found(plan: Plan, observations: Observations) -> Calibration:
    return calibrate(plan, observations, DAY)


def factors(calibration: Calibration, device: str) -> tuple[float, float, float]:
    (fit,) = (g.correction for g in calibration.groups if g.correction.device == device)
    return float(fit.prefill), float(fit.decode), float(fit.layer_step_s)


def test_the_fit_finds_the_factors_of_a_known_distortion() -> None:
    calibration = found(two_hosts_plan(), observe(two_hosts_plan(), Run((BIG, SMALL))))
    assert factors(calibration, "Big") == pytest.approx((3.0, 0.4, 0.0), rel=1e-3)
    assert factors(calibration, "Small") == pytest.approx((0.7, 2.5, 0.0), rel=1e-3)
    assert [group.stages for group in calibration.groups] == [("s0",), ("s1", "s2")]
    assert not any(group.doubts for group in calibration.groups)
    assert {g.correction.error for g in calibration.groups} == {Decimal("0.05")}
    assert (
        calibration.groups[0].correction.source == "180 steps on 4 cores (a CPU), torch 2, " + DAY
    )


def test_a_time_for_each_step_is_found_where_there_is_one() -> None:
    calibration = found(two_hosts_plan(), observe(two_hosts_plan(), Run((BIG, SLOW_STEPS))))
    assert factors(calibration, "Small") == pytest.approx((0.8, 1.5, 0.0004), rel=1e-3)
    # The fit ends in floating point: what is 0 on one processor is 1e-20 on another.
    assert factors(calibration, "Big")[2] == pytest.approx(0.0, abs=1e-12)


def test_noise_and_steps_that_hang_hardly_move_the_factors() -> None:
    run = Run((BIG, SMALL), prefills=200, decodes=600, noise=0.2, outliers=0.1)
    calibration = found(two_hosts_plan(), observe(two_hosts_plan(), run))
    assert factors(calibration, "Big")[:2] == pytest.approx((3.0, 0.4), rel=0.1)
    assert factors(calibration, "Small")[:2] == pytest.approx((0.7, 2.5), rel=0.1)
    errors = [float(group.correction.error) for group in calibration.groups]
    assert min(errors) > 0.5  # a tenth of the steps took ten times as long: the mean is off


def test_a_stage_is_told_before_and_after_the_correction() -> None:
    calibration = found(two_hosts_plan(), observe(two_hosts_plan(), Run((BIG, SMALL), mixed=0)))
    assert [stage.stage for stage in calibration.stages] == ["s0", "s1", "s2"]
    prefill, decode = calibration.stages[0].phases
    assert (prefill.phase, prefill.num_steps, decode.phase, decode.num_steps) == (
        "prefill",
        40,
        "decode",
        120,
    )
    assert (prefill.ratio, decode.ratio) == pytest.approx((3.0, 0.4), rel=1e-6)
    assert (prefill.spread, decode.spread) == pytest.approx((0.0, 0.0), abs=1e-6)
    assert (prefill.corrected_ratio, decode.corrected_ratio) == pytest.approx((1, 1), rel=1e-3)


def test_launches_have_a_warm_up_each() -> None:
    runs = Run((BIG, SMALL)), Run((BIG, SMALL), seed=2)
    calibration = found(two_hosts_plan(), observe(two_hosts_plan(), *runs))
    assert sum(phase.num_steps for phase in calibration.stages[0].phases) == 2 * 180
    assert calibration.num_launches == 2


def test_a_plan_that_is_corrected_already_gets_factors_from_the_times_without_any() -> None:
    """The new correction replaces the old one, so it must hold without it."""
    plan = resealed(two_hosts_plan(), corrections=(truth("Big", 2, 30.0, 4.0),))
    calibration = found(plan, observe(plan, Run((BIG, SMALL))))
    assert factors(calibration, "Big") == pytest.approx((3.0, 0.4, 0.0), rel=1e-3)
    assert calibration.stages[0].phases[1].ratio == pytest.approx(0.1, rel=1e-6)


def test_a_phase_that_was_hardly_seen_keeps_its_factor_and_is_doubted() -> None:
    few = Run((BIG, SMALL), prefills=5, mixed=0)
    calibration = found(two_hosts_plan(), observe(two_hosts_plan(), few))
    assert factors(calibration, "Big") == pytest.approx((1.0, 0.4, 0.0), rel=1e-3)
    doubts = calibration.groups[0].doubts
    assert doubts == ("5 steps of prompts, fewer than 8: their factor stays as it was",)
    assert calibration.groups[0].correction.error == Decimal("0.25")
    known = resealed(two_hosts_plan(), corrections=(truth("Big", 2, 7.0, 1.0),))
    assert factors(found(known, observe(known, few)), "Big")[0] == 7.0


def test_with_too_few_steps_nothing_is_fitted() -> None:
    few = Run((BIG, SMALL), prefills=2, decodes=3, mixed=0)
    calibration = found(two_hosts_plan(), observe(two_hosts_plan(), few))
    assert calibration.groups == ()
    assert calibration.stages[0].phases[0].corrected_ratio is None


def test_small_batches_are_doubted_where_the_plan_is_for_large_ones() -> None:
    plan = two_hosts_plan()
    one = Load(enter_layer=0, decode_tokens=1, context=30)
    steps = tuple(StepSeen(stage="s0", at_s=0.0, seconds=1e-3, loads=(one,)) for _ in range(100))
    seen = replace(observe(plan, Run(())), steps=(steps,))
    (group,) = found(plan, seen).groups
    assert "at most 1 decoded at once, where the plan's speed is for 20" in group.doubts


def test_unlike_devices_of_one_stage_are_compared_but_not_corrected() -> None:
    plan = mixed_stage_plan()
    calibration = found(plan, observe(plan, Run(())))
    mixed = [stage for stage in calibration.stages if len(set(stage.devices)) > 1]
    assert mixed
    assert mixed[0].phases[0].ratio == pytest.approx(1.0)
    assert mixed[0].phases[0].corrected_ratio is None
    assert any("unlike devices share it" in remark for remark in calibration.remarks)


def test_a_request_that_enters_inside_a_stage_runs_only_the_layers_behind() -> None:
    plan = profiled_plan()
    stage = plan.stages[2]  # [2, 6)
    reader = StepReader(plan, stage)

    def read(*loads: Load) -> tuple[float, float, float]:
        step = StepSeen(stage=stage.id, at_s=0.0, seconds=1.0, loads=loads)
        return reader.read(step).parts

    early, late = (Load(enter_layer=n, decode_tokens=4, context=80) for n in (2, 4))
    whole, half = read(early), read(late)
    assert half[1] == pytest.approx(whole[1] / 2)
    assert (whole[2], half[2]) == (4, 2)
    both = read(late, early)
    eight = Load(enter_layer=2, decode_tokens=8, context=160)
    assert both[1] == pytest.approx((whole[1] + read(eight)[1]) / 2)


def test_the_overlay_gives_back_the_corrections(tmp_path: Path) -> None:
    plan, path = two_hosts_plan(), tmp_path / "overlay.yaml"
    calibration = found(plan, observe(plan, Run((BIG, SLOW_STEPS))))
    write_corrections(calibration, "by a test", path)
    overlay = read_overlay(path)
    cluster = with_corrections(plan.cluster, overlay.text.corrections, overlay.at)
    assert cluster.corrections == tuple(group.correction for group in calibration.groups)


def messages(
    ends: tuple[str, str], latency_s: float, bytes_per_s: float, number: int = 60
) -> list[TransferSeen]:
    rng = random.Random(3)
    sizes = [rng.randint(1000, 200_000) for _ in range(number)]
    return [
        TransferSeen(
            source=ends[0],
            target=ends[1],
            at_s=float(index),
            seconds=latency_s + size / bytes_per_s,
            tokens=8,
            bytes=size,
        )
        for index, size in enumerate(sizes)
    ]


def test_a_link_that_is_off_is_found_with_its_figures() -> None:
    """The plan has 1 ms and 1 MB/s: `s0 > s1` is slower, `entry > s0` as it should be."""
    plan = two_hosts_plan()
    seen = [*messages(("s0", "s1"), 0.004, 2e5), *messages(("entry", "s0"), 0.001, 1e6)]
    calibration = found(plan, observe(plan, Run(()), transfers=seen))
    slow, right = sorted(calibration.edges, key=lambda edge: -edge.ratio)
    assert (slow.source, slow.target) == ("s0", "s1")
    assert slow.ratio == pytest.approx(5.0, rel=0.05)
    assert right.ratio == pytest.approx(1.0)
    (fit,) = calibration.links
    assert (fit.link.source, fit.link.target) == ("big", "small")
    assert float(fit.link.latency_s) == pytest.approx(0.004, rel=0.01)
    assert fit.link.bandwidth_bytes_per_s == pytest.approx(2e5, rel=0.01)


def test_a_few_messages_measure_no_link() -> None:
    plan = two_hosts_plan()
    seen = messages(("s0", "s1"), 0.004, 2e5, 20)
    calibration = found(plan, observe(plan, Run(()), transfers=seen))
    assert calibration.edges[0].num_messages == 18
    assert calibration.links == ()


def test_hosts_with_addresses_get_no_links_from_one_machine() -> None:
    plan = two_hosts_plan()
    hosts = tuple(h.model_copy(update={"address": "10.0.0.1"}) for h in plan.cluster.hosts)
    plan = resealed(plan, hosts=hosts)
    seen = messages(("s0", "s1"), 0.004, 2e5)
    calibration = found(plan, observe(plan, Run(()), transfers=seen))
    assert calibration.links == ()
    assert any("one machine played them" in remark for remark in calibration.remarks)


def test_one_part_gets_the_median_ratio() -> None:
    parts = np.ones((5, 1)) * 2
    observed = np.array([2.0, 4.0, 6.0, 8.0, 1000.0])
    assert fit_factors(observed, parts)[0] == pytest.approx(3.0, rel=1e-3)


def test_a_part_that_would_need_a_negative_factor_gets_none() -> None:
    rng = np.random.default_rng(1)
    parts = np.column_stack((rng.uniform(1, 2, 50), np.ones(50)))
    observed = 3 * parts[:, 0] - 0.5
    factors = fit_factors(observed, parts)
    assert factors[1] == pytest.approx(0.0, abs=1e-12)
    assert factors[0] > 2


def test_a_stage_is_busy_for_the_time_that_its_steps_take() -> None:
    plan = two_hosts_plan()
    load = Load(enter_layer=0, decode_tokens=1, context=30)
    launch = tuple(
        StepSeen(stage="s0", at_s=at_s, seconds=0.25, loads=(load,)) for at_s in (0.0, 0.5, 1.75)
    )
    seen = replace(observe(plan, Run(())), steps=(launch, launch))
    assert found(plan, seen).stages[0].busy == pytest.approx(0.75 / 2.0)


def test_a_head_that_would_leave_prompts_nothing_does_not_break_the_fit() -> None:
    """Prompts' steps are short, decodes' very long: together a prompt would need less than none."""
    steps = [
        TimedStep(1e-6, 1.0, prefill_s=1e-3, decode_s=0.9e-3, num_layers=2, decode_tokens=0),
        TimedStep(1.0, 1.0, prefill_s=0.0, decode_s=1e-3, num_layers=2, decode_tokens=4),
    ]
    fit = fit_group([steps * 20], Kind("Small", 1), None, Basis("made up", is_sure=True))
    assert fit is not None
    assert float(fit.prefill) == pytest.approx(1e-6 / 1.9e-3, rel=1e-3)
    assert float(fit.decode) == pytest.approx(1000.0, rel=1e-3)


def test_steps_without_time_or_prediction_are_left_out() -> None:
    plan = two_hosts_plan()
    nothing = Load(enter_layer=0)
    some = Load(enter_layer=0, decode_tokens=4, context=30)
    launch = tuple(
        StepSeen(stage="s0", at_s=0.0, seconds=seconds, loads=(load,))
        for load, seconds in ((some, 0.1), (some, 0.1), (nothing, 0.1), (some, 0.0), (some, 0.1))
    )
    seen = replace(observe(plan, Run(())), steps=(launch,))
    (phase,) = found(plan, seen).stages[0].phases
    assert phase.num_steps == 1
