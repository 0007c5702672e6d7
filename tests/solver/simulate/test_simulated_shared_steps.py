"""Plans whose stages share tokens, simulated: each step takes what its mode takes."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest
from support.shared_plans import MATRICES, READING, SHIFT, SP, split_s, tensor_s

from hexplan.plan import Plan
from hexplan_solver.simulate import CHUNKED, Replay, Window, pipeline_of_plan, simulate

CHUNKS = replace(CHUNKED, chunk_tokens=31)
OUT_S = Fraction(1, 1000) + Fraction(60 * 4, 1_000_000)
"""The prompt's ids on their way from the coordinator: 1 ms, and 4 bytes each at 1 MB/s."""
ONE_S = Fraction(1, 1000) + Fraction(4, 1_000_000)
"""A token's, either way."""
POSITION_S, READ_S = Fraction(4 * 32, MATRICES), Fraction(2 * 16 * 2, READING)


def head_s(rows: int) -> Fraction:
    return Fraction(2 * rows * 64 * 64, MATRICES) + Fraction(64 * 64 * 2, READING)


def decode_s(plan: Plan, context: int) -> Fraction:
    mode = tensor_s if plan is SHIFT else split_s
    return 6 * (mode(1) + context * READ_S) + head_s(1)


@pytest.mark.parametrize("plan", [SP, SHIFT], ids=["sp", "shift"])
def test_a_lone_request_takes_what_its_steps_take_by_hand(plan: Plan) -> None:
    """A prompt of 60 tokens in pieces of 31 and 29, then three decodes.

    Below its threshold, `shift` runs both pieces in shards.
    """
    mode = tensor_s if plan is SHIFT else split_s
    outcome = simulate(
        pipeline_of_plan(plan), Replay(((0.0, 60, 4),)), CHUNKS, Window(warmup_s=0.0)
    )
    reach = 31 * Fraction(31, 2), 29 * (31 + Fraction(29, 2))
    pieces = (6 * (mode(n) + r * POSITION_S) for n, r in zip((31, 29), reach, strict=True))
    ttft_s = OUT_S + sum(pieces, Fraction(0)) + head_s(1) + ONE_S
    decodes = [decode_s(plan, context) + 2 * ONE_S for context in (61, 62, 63)]
    assert outcome.ttft is not None
    assert outcome.tpot is not None
    assert outcome.ttft.mean_s == pytest.approx(float(ttft_s), rel=1e-9)
    assert outcome.tpot.mean_s == pytest.approx(float(sum(decodes) / 3), rel=2e-3)
    assert outcome.finished == 1


def test_shift_has_the_first_token_of_sequence_parallelism_and_the_pace_of_tensor() -> None:
    tensor = SHIFT.model_copy(
        update={
            "stages": (SHIFT.stages[0].model_copy(update={"parallel": "tp", "shift_tokens": None}),)
        }
    )
    requests = tuple((0.2 * i, 60, 20) for i in range(50))
    ttft_s, tpot_s = {}, {}
    for name, plan in (("tp", tensor), ("sp", SP), ("shift", SHIFT)):
        outcome = simulate(pipeline_of_plan(plan), Replay(requests), CHUNKED, Window(warmup_s=0.0))
        assert outcome.ttft is not None
        assert outcome.tpot is not None
        ttft_s[name], tpot_s[name] = outcome.ttft.mean_s, outcome.tpot.mean_s
    assert ttft_s["shift"] == pytest.approx(ttft_s["sp"])
    assert ttft_s["shift"] < ttft_s["tp"]
    assert tpot_s["shift"] == pytest.approx(tpot_s["tp"])
    assert tpot_s["shift"] < tpot_s["sp"]
