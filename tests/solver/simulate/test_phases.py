"""Prefill and decode on different stages: when tokens come, and what is kept where."""

from __future__ import annotations

from dataclasses import replace

import pytest
from support.pipelines import FAST, FREE, ONE_BY_ONE, SteadySteps, TokenSteps, joined

from hexplan_solver.simulate import (
    CHUNKED,
    WHOLE,
    EdgeModel,
    FixedLengths,
    Outage,
    Outcome,
    PipelineModel,
    Poisson,
    Policy,
    Replay,
    RouteModel,
    StageModel,
    Window,
    simulate,
)

WHOLE_PROMPTS = replace(CHUNKED, chunk_tokens=None)
PREFILL, DECODE = TokenSteps(0.1, 100.0), TokenSteps(100.0, 0.1)
"""What a layer takes for a token, where the other phase would be noticed at once."""


def pair(
    kv_bytes_per_s: float = FAST,
    latency_s: float = 0.0,
    steps: tuple[SteadySteps, SteadySteps] = (PREFILL, DECODE),
    kv_tokens: int = FREE,
) -> PipelineModel:
    """One stage that prefills and one that decodes, both of the whole model, of one layer.

    The KV of a token has one byte.
    """
    stages = (
        StageModel("s0", (0, 1), steps[0], kv_tokens, max_prompts=1, phase="prefill"),
        StageModel("s1", (0, 1), steps[1], FREE, phase="decode"),
    )
    return joined(
        stages,
        [RouteModel((0,), 1, (1,))],
        lambda a, b: EdgeModel(a, b, FAST, 0.0, 1, 1.0),
        lambda a, b: EdgeModel(a, b, kv_bytes_per_s, latency_s, 1, 0.0),
    )


def run(
    pipeline: PipelineModel,
    *requests: tuple[float, int, int],
    policy: Policy = WHOLE_PROMPTS,
    outages: tuple[Outage, ...] = (),
) -> Outcome:
    return simulate(pipeline, Replay(requests), policy, Window(100.0, 0.0), outages=outages)


def times_s(outcome: Outcome) -> tuple[float, float]:
    """The mean times from arrival to the first and to the last token."""
    assert outcome.ttft is not None and outcome.e2e is not None
    return outcome.ttft.mean_s, outcome.e2e.mean_s


def test_the_first_token_comes_from_prefill_and_the_second_once_the_kv_has_moved() -> None:
    """10 tokens are prefilled until 1.0, their KV moves until 1.7, decodes end at 1.8 and 1.9."""
    outcome = run(pair(kv_bytes_per_s=20.0, latency_s=0.2), (0.0, 10, 3))
    assert times_s(outcome) == pytest.approx((1.0, 1.9))
    assert [use.phase for use in outcome.stages] == ["prefill", "decode"]


def test_the_kv_of_a_chunk_moves_while_the_next_one_is_prefilled() -> None:
    """Chunks of 5 end at 0.5 and 1.0; the KV of each moves for another 0.5 s."""
    chunks = replace(CHUNKED, chunk_tokens=5)
    outcome = run(pair(kv_bytes_per_s=10.0), (0.0, 10, 2), policy=chunks)
    assert times_s(outcome) == pytest.approx((1.0, 1.6))


def test_whole_prompts_as_published_give_their_first_token_after_the_kv_has_moved_too() -> None:
    policy = replace(
        WHOLE, sends_singly=False, intake_s_per_byte=0.0, routing="routes", obeys_profile=False
    )
    outcome = run(pair(kv_bytes_per_s=10.0), (0.0, 10, 2), policy=policy)
    assert times_s(outcome) == pytest.approx((2.1, 2.2))


def test_prompts_keep_their_room_until_their_kv_has_moved() -> None:
    """Room for one prompt: it is prefilled until 1.0 and moves until 2.0; then the next one may."""
    outcome = run(pair(kv_bytes_per_s=10.0, kv_tokens=10), (0.0, 10, 2), (0.0, 10, 2))
    assert times_s(outcome) == pytest.approx(((1.0 + 3.0) / 2, (2.1 + 4.1) / 2))
    assert outcome.stages[0].max_kv == 1.0


def test_a_prompt_with_nothing_to_decode_leaves_its_kv_behind() -> None:
    outcome = run(pair(kv_bytes_per_s=1.0), (0.0, 10, 1), (50.0, 10, 1))
    assert (outcome.finished, outcome.unfinished) == (2, 0)
    assert outcome.stages[1].busy == 0.0


def test_m_d_1_prefill_then_a_known_transfer_then_one_step() -> None:
    """Prompts leave at least 1 s apart, so their KV never waits for a link that takes 0.6 s."""
    pipeline = pair(1 / 0.6, latency_s=0.3, steps=(SteadySteps(1.0), SteadySteps(0.0, 0.05)))
    traffic, window = Poisson(0.6, FixedLengths(1, 2)), Window(60_000.0, 2_000.0)
    outcome = simulate(pipeline, traffic, ONE_BY_ONE, window)
    assert outcome.ttft is not None and outcome.tpot is not None
    assert outcome.ttft.mean_s == pytest.approx(1 + 0.6 / (2 * (1 - 0.6)), rel=0.02)
    assert outcome.tpot.mean_s == pytest.approx(0.6 + 0.3 + 0.05)
    assert outcome.tpot.p99_s == pytest.approx(0.6 + 0.3 + 0.05)


def test_kv_waits_for_its_turn_on_a_nic_that_others_use() -> None:
    """Two prompts end at 1.0 on stages of their own; their KV shares a NIC, and takes 1 s each."""
    prefills = [StageModel(f"s{j}", (0, 1), PREFILL, FREE, phase="prefill") for j in range(2)]
    pipeline = joined(
        [*prefills, StageModel("s2", (0, 1), DECODE, FREE, phase="decode")],
        [RouteModel((0,), 1, (2,)), RouteModel((1,), 1, (2,))],
        lambda a, b: EdgeModel(a, b, FAST, 0.0, 1, 1.0),
        lambda a, b: EdgeModel(a, b, FAST, 0.0, 1, 0.0, (0,)),
        (10.0,),
    )
    outcome = run(pipeline, (0.0, 10, 2), (0.0, 10, 2))
    assert times_s(outcome) == pytest.approx((1.0, (2.1 + 3.1) / 2))


@pytest.mark.parametrize(
    ("stage", "from_s", "restarts", "last_s"),
    [
        (0, 0.5, 1, 1.2 + 1.0 + 1.0 + 0.3),  # while it prefills 10 tokens, before three decodes
        (0, 1.5, 1, 2.2 + 1.1 + 1.1 + 0.2),  # while its KV moves: one token more to prefill
        (0, 2.15, 0, 2.3),  # when all has moved: it is no matter
        (1, 1.5, 1, 2.2 + 1.1 + 1.1 + 0.2),  # where it will be decoded
        (1, 2.15, 1, 2.85 + 1.2 + 1.2 + 0.1),  # while it is decoded
    ],
)
def test_who_loses_kv_by_a_failure_starts_over(
    stage: int, from_s: float, restarts: int, last_s: float
) -> None:
    """10 tokens are prefilled until 1.0 and move until 2.0; three are decoded until 2.3."""
    outage = Outage(stage, from_s, from_s + 0.7)
    outcome = run(pair(kv_bytes_per_s=10.0), (0.0, 10, 4), outages=(outage,))
    assert (outcome.finished, outcome.restarts) == (1, restarts)
    assert times_s(outcome)[1] == pytest.approx(last_s)


def test_edges_are_no_way_to_route_by_here() -> None:
    with pytest.raises(ValueError, match="needs routing by routes"):
        run(pair(), (0.0, 1, 1), policy=replace(CHUNKED, routing="edges"))


def test_requests_that_one_stage_decodes_share_its_steps_wherever_they_were_prefilled() -> None:
    """Two stages prefill for one, where a step takes as long for two decodes as for one."""
    first = StageModel("s0", (0, 1), SteadySteps(0.1), FREE, phase="prefill")
    decode = StageModel("s2", (0, 1), SteadySteps(0.0, 0.1), FREE, phase="decode")
    both = joined(
        (first, replace(first, name="s1"), decode),
        [RouteModel((0,), 1, (2,)), RouteModel((1,), 1, (2,))],
        lambda a, b: EdgeModel(a, b, FAST, 0.0, 1, 1.0),
        lambda a, b: EdgeModel(a, b, FAST, 0.0, 1, 0.0),
    )
    outcome = run(both, (0.0, 1, 21), (0.0, 1, 21), policy=replace(CHUNKED, chunk_tokens=64))
    assert outcome.tpot is not None
    assert outcome.tpot.mean_s == pytest.approx(0.1, rel=0.1)
