"""What the check allows a simulation to have emitted, by hand and as the simulator emits it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction

from support.broken_sustained import RATE, SIMULATED, SUSTAINED
from support.changes import change_plan, change_predicted
from support.clusters import device_type, host, spec_of, tiny_model
from support.plans import profiled_plan, resealed

from hexplan.check import check_plan
from hexplan.plan import Plan
from hexplan.spec import Spec
from hexplan.workload import Lengths, Workload
from hexplan_solver import SolveOptions, solve
from hexplan_solver.simulate import Closed, FixedLengths, Window, pipeline_of_plan, simulate

ROOM = Fraction(4 * 2432 + 2 * 660 + 2 * 660, 6)
"""Tokens of context that the plan of two hosts keeps in all of its layers."""
STEP = Decimal("0.000001")
FORTY_SECONDS = {"duration_s": Decimal(60), "warmup_s": Decimal(20)}


def stating(
    plan: Plan,
    decoded: Decimal,
    finished: str = "1",
    policy: str = "chunked",
    window: Mapping[str, Decimal] = FORTY_SECONDS,
) -> Plan:
    """Return the plan with such a simulation."""
    figures = {"decode_tokens_per_s": decoded, "requests_per_s": Decimal(finished)}
    simulated = SIMULATED.model_copy(update={**figures, **window})
    rate = RATE.model_copy(update={"simulated": simulated, "policy": policy})
    return change_predicted(plan, sustained=rate)


def of_lengths(plan: Plan, prompt: Lengths, output: Lengths) -> Plan:
    """Return the plan for requests of other lengths; much of it is then wrong."""
    return change_plan(plan, workload=Workload(prompt_tokens=prompt, output_tokens=output))


def is_refused(plan: Plan) -> bool:
    where = {(found.rule, found.where) for found in check_plan(plan)}
    return ("HEX714", "prediction, simulated") in where


def down(bound: Fraction) -> Decimal:
    return Decimal(bound // Fraction(STEP)) * STEP


def is_the_most(plan: Plan, bound: Fraction, finished: str = "1", policy: str = "chunked") -> bool:
    """Say whether the plan may state the bound, and no more."""
    most = down(bound)
    return not is_refused(stating(plan, most, finished, policy)) and is_refused(
        stating(plan, most + STEP, finished, policy)
    )


def test_tokens_of_unfinished_requests_count_as_far_as_the_kv_room_keeps_them() -> None:
    """Outputs have at most 50 tokens, and prompts at least 1; rates are rounded at 1e-6."""
    bound = 50 * (1 + Fraction(STEP) + ROOM / (1 + 50) / 40)
    assert is_the_most(SUSTAINED, bound)
    assert 100 < bound < 101


def test_where_nothing_ends_in_time_there_are_the_unfinished_alone() -> None:
    bound = 50 * (Fraction(STEP) + ROOM / (1 + 50) / 40)
    assert is_the_most(SUSTAINED, bound, finished="0")


def test_prompts_of_one_length_leave_the_less_room_for_outputs() -> None:
    plan = of_lengths(SUSTAINED, Lengths(mean=100, max=100), Lengths(mean=50, max=50))
    assert is_the_most(plan, 50 * (1 + Fraction(STEP) + ROOM / (100 + 50) / 40))


def test_requests_that_reserve_less_than_their_output_may_be_more() -> None:
    bound = 50 * (1 + Fraction(STEP) + ROOM / (1 + 1) / 40)
    assert is_the_most(SUSTAINED, bound, policy="whole")


def test_a_measured_kv_room_counts_for_a_scheduler_that_goes_by_it() -> None:
    """Of four stages, only that of Quick with four layers is given more than it states."""
    plan = profiled_plan()
    quick, slow = plan.cluster.profiles
    rooms = (1, 1, 1, 9_000)
    plan = resealed(plan, profiles=(quick.model_copy(update={"kv_tokens": rooms}), slow))
    stated = Fraction(2 * 2227 + 4 * 776 + 4 * 520 + 2 * 1715, 6)
    measured = stated + Fraction(sum(4 * (9_000 - kv) for kv in (776, 520)), 6)
    assert is_the_most(plan, 50 * (1 + Fraction(STEP) + stated / 51 / 40))
    assert is_the_most(plan, 50 * (1 + Fraction(STEP) + measured / 2 / 40), policy="whole")


def test_the_formula_knows_no_end_and_so_no_unfinished_requests() -> None:
    rate = RATE.model_copy(update={"decode_tokens_per_s": Decimal(31 * 50) + Decimal("0.000051")})
    found = check_plan(change_predicted(SUSTAINED, sustained=rate))
    assert {(one.rule, one.where) for one in found} == {("HEX714", "prediction, sustained")}
    assert any("at most 50 per request" in one.message for one in found)


def test_nothing_decoded_for_requests_that_ended_is_refused_unless_outputs_have_one_token() -> None:
    nothing = stating(SUSTAINED, Decimal(0))
    one = Lengths(mean=1, max=1)
    assert is_refused(nothing)
    assert not is_refused(of_lengths(nothing, Lengths(mean=60, max=100), one))


def three_hosts(lengths: tuple[int, int], memory_bytes: int) -> Spec:
    """Return three like hosts for requests of one length."""
    hosts = [host(name, ["d"]) for name in "abc"]
    spec = spec_of(tiny_model(8), hosts, types=[device_type("d", memory_bytes)])
    prompts, outputs = (Lengths(mean=tokens, max=tokens) for tokens in lengths)
    workload = Workload(prompt_tokens=prompts, output_tokens=outputs)
    return replace(spec, workload=workload, objective="sustained")


def test_a_plan_for_requests_of_one_length_passes_the_check() -> None:
    """Its run is short, so that it emits more than its finished requests could have got."""
    plan = solve(three_hosts((64, 64), 10**9), SolveOptions(time_limit_s=60))
    assert [str(violation) for violation in check_plan(plan)] == []
    assert plan.predicted.sustained is not None
    found = plan.predicted.sustained.simulated
    assert found is not None
    assert found.decode_tokens_per_s > 64 * found.requests_per_s > 0


def test_a_full_cache_may_have_emitted_what_it_does_before_a_request_ends_and_hardly_more() -> None:
    plan = solve(replace(three_hosts((8, 200), 2 * 10**7), objective="throughput"))
    assert [stage.layers for stage in plan.stages] == [(0, 8)] * 3
    population = sum(stage.kv_tokens // 208 for stage in plan.stages)
    traffic = Closed(FixedLengths(8, 200), population, gap_s=1e-9)
    pipeline = pipeline_of_plan(plan)
    stays = simulate(pipeline, traffic, window=Window(2.0, 0.0)).e2e
    assert stays is not None
    short = Window(round(0.9 * stays.percentiles_s[0], 6), 1e-6)
    found = simulate(pipeline, traffic, window=short)
    assert (found.finished, found.unfinished) == (0, population)

    def is_allowed(decoded: float) -> bool:
        figures = {"duration_s": Decimal(str(short.duration_s)), "warmup_s": STEP}
        stated = stating(plan, Decimal(str(round(decoded, 6))), "0", window=figures)
        return not is_refused(stated)

    assert is_allowed(found.decode_tokens_per_s)
    assert not is_allowed(1.25 * found.decode_tokens_per_s)
