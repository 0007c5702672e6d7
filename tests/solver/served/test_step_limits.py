"""Step limits: smaller steps keep more of a long chain busy, and leave prompts their part."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.clusters import device_type, host, profile, spec_of, tiny_model

from hexplan.check import check_plan
from hexplan.plan import Plan
from hexplan.spec import Spec
from hexplan.step_limits import StepLimits
from hexplan.workload import Lengths, Workload
from hexplan_solver import SolveOptions, solve
from hexplan_solver.served.step_limits import neighbours, widest, with_step_limits
from hexplan_solver.simulate import (
    CHUNKED,
    WHOLE,
    Offline,
    Outcome,
    Policy,
    SpreadLengths,
    Window,
    pipeline_of_plan,
    policy_of_plan,
    simulate,
)


def points(*pairs: tuple[int, str]) -> tuple[tuple[int, Decimal], ...]:
    return tuple((tokens, Decimal(seconds)) for tokens, seconds in pairs)


def chain_of(hosts: int, prompt: int = 60, output: int = 60) -> Spec:
    """Like hosts of two layers each; a step of decodes takes longer the more there are."""
    table = {
        "prefill_layer_s": points((1, "0.004"), (256, "0.05"), (512, "0.1")),
        "decode_layer_s": points((1, "0.004"), (64, "0.02"), (256, "0.06")),
    }
    spec = spec_of(
        tiny_model(2 * hosts),
        [host(f"h{i}", ["d"]) for i in range(hosts)],
        types=[device_type("d", memory_bytes=6 * 10**6, speed=10**8)],
        profiles=[profile("d", [1000, 500]).model_copy(update=table)],
    )
    limits = spec.cluster.limits.model_copy(update={"chunk_tokens": 256})
    workload = Workload(
        prompt_tokens=Lengths(mean=prompt, max=2 * prompt),
        output_tokens=Lengths(mean=output, max=2 * output),
    )
    cluster = spec.cluster.model_copy(update={"limits": limits})
    return replace(spec, cluster=cluster, workload=workload)


@pytest.fixture(scope="module")
def plan() -> Plan:
    return solve(chain_of(6), SolveOptions(time_limit_s=20))


def outcome(plan: Plan, policy: Policy) -> Outcome:
    traffic = Offline(SpreadLengths(plan.workload.prompt_tokens, plan.workload.output_tokens))
    return simulate(pipeline_of_plan(plan), traffic, policy, Window(60, 20, 5))


def test_a_plan_says_what_its_stages_put_into_a_step(plan: Plan) -> None:
    assert plan.step_limits is not None
    assert check_plan(plan) == ()
    policy = policy_of_plan(plan)
    assert policy.chunk_tokens == plan.step_limits.tokens
    assert policy.max_decode_tokens == plan.step_limits.decodes


def test_a_plan_without_step_limits_runs_the_largest_steps_that_have_workspace(plan: Plan) -> None:
    policy = policy_of_plan(plan.model_copy(update={"step_limits": None}))
    assert policy == replace(CHUNKED, chunk_tokens=256, max_decode_tokens=192)


def test_smaller_steps_serve_more_on_a_long_chain(plan: Plan) -> None:
    large = widest(chain_of(6), CHUNKED)
    chosen = policy_of_plan(plan)
    assert chosen.max_decode_tokens < large.max_decode_tokens
    few, many = outcome(plan, chosen), outcome(plan, large)
    assert few.decode_tokens_per_s > 1.2 * many.decode_tokens_per_s


def test_full_steps_with_few_decodes_serve_more(plan: Plan) -> None:
    large = widest(chain_of(6), CHUNKED)
    early, _ = with_step_limits(chain_of(6), pipeline_of_plan(plan), large, halvings=0)
    assert early.chunk_tokens == large.chunk_tokens
    assert early.max_decode_tokens < large.max_decode_tokens
    few, many = outcome(plan, early), outcome(plan, large)
    assert few.decode_tokens_per_s > many.decode_tokens_per_s


def test_the_rehearsal_tells_what_the_chosen_steps_serve(plan: Plan) -> None:
    rate = plan.predicted.sustained
    assert rate is not None
    simulated = outcome(plan, policy_of_plan(plan)).decode_tokens_per_s
    assert float(rate.decode_tokens_per_s) == pytest.approx(simulated, rel=0.15)


def test_whole_prompts_have_no_step_limits(plan: Plan) -> None:
    spec = chain_of(6)
    assert with_step_limits(spec, pipeline_of_plan(plan), WHOLE)[0] is WHOLE
    assert widest(spec, WHOLE) is WHOLE


@settings(max_examples=25)
@given(
    prompt=st.integers(1, 3000), output=st.integers(1, 300), chunk=st.sampled_from([16, 90, 512])
)
def test_whatever_the_lengths_the_limits_fit_the_workspace(
    plan: Plan, prompt: int, output: int, chunk: int
) -> None:
    spec = chain_of(6, prompt, output)
    limits = spec.cluster.limits.model_copy(update={"chunk_tokens": chunk})
    spec = replace(spec, cluster=spec.cluster.model_copy(update={"limits": limits}))
    policy, served = with_step_limits(spec, pipeline_of_plan(plan), widest(spec, CHUNKED))
    assert policy.chunk_tokens is not None
    assert policy.chunk_tokens <= chunk
    found = StepLimits(tokens=policy.chunk_tokens, decodes=policy.max_decode_tokens)
    assert found.decodes <= max(1, found.tokens * 3 // 4)
    assert served.decode_tokens_per_s > 0


def test_from_any_limits_the_most_decodes_of_a_step_are_reached() -> None:
    spec = chain_of(2)
    most = widest(spec, CHUNKED)
    policy = replace(most, max_decode_tokens=1)
    for _ in range(most.max_decode_tokens.bit_length()):
        nearby = [p for p in neighbours(spec, policy) if p.chunk_tokens == most.chunk_tokens]
        policy = max(nearby, key=lambda other: other.max_decode_tokens)
    assert policy == most
    assert policy not in list(neighbours(spec, policy))
