"""The figures of the hand-made plans whose stage shares tokens, step by step."""

from __future__ import annotations

from fractions import Fraction

import pytest
from support.shared_plans import (
    BROKEN_SHARED,
    MATRICES,
    MICRO,
    READING,
    SHIFT,
    SP,
    WHOLE,
    split_s,
    tensor_s,
)

from hexplan.check import check_plan
from hexplan.plan import Plan


@pytest.mark.parametrize("plan", [SP, SHIFT], ids=["sp", "shift"])
def test_a_plan_that_shares_tokens_breaks_no_rule(plan: Plan) -> None:
    assert check_plan(plan) == ()
    text = plan.model_dump_json(by_alias=True)
    assert check_plan(Plan.model_validate_json(text)) == ()


def test_a_device_holds_whole_layers_and_its_part_of_the_vocabulary() -> None:
    memory = SP.stages[0].memory[0]
    assert memory.weights_bytes == 2 * (6 * WHOLE + 2 * 64 * 64 + 64) == 534_144
    # 61 tokens are 31 rows: the residual stream, all heads and channels; then all 62 rows.
    rows = 31 * (4 * 64 + 128 + 320) + 62 * (64 + 64)
    assert memory.workspace_bytes == 2 * rows + 4 * 64 * 256 == 125_056
    assert memory.free_bytes == 32 < 6 * 2 * 16 * 2


@pytest.mark.parametrize(("plan", "decode_s"), [(SP, split_s(7)), (SHIFT, tensor_s(7))])
def test_the_speed_is_that_of_the_mode_of_each_step(plan: Plan, decode_s: Fraction) -> None:
    """627 tokens of KV admit 7 requests of 80 tokens; a prompt of 60 goes in one piece."""
    position, read = Fraction(4 * 32, MATRICES), Fraction(2 * 16 * 2, READING)
    assert position < read
    prefill = split_s(60) + 60**2 / Fraction(2) * position
    decode = decode_s + 7 * 70 * read
    head = Fraction(2 * 7 * 64 * 64, MATRICES) + Fraction(64 * 64 * 2, READING)
    seconds = 6 * (prefill + Fraction(20, 7) * decode) + Fraction(20, 7) * head
    capacity = Fraction(plan.stages[0].capacity_tokens_per_s)
    assert 0 <= 80 / seconds - capacity < MICRO


def test_the_modes_cross_between_54_and_56_tokens() -> None:
    assert tensor_s(54) < split_s(54)
    assert split_s(56) <= tensor_s(56)
    assert SHIFT.stages[0].shift_tokens == 54


def test_a_wrong_threshold_is_told_with_both_times() -> None:
    case = next(case for case in BROKEN_SHARED if case.sentence == "a threshold too high")
    (found,) = check_plan(case.plan)
    tensor_us, split_us = (round(float(mode(56) * 10**6), 3) for mode in (tensor_s, split_s))
    assert str(found) == (
        "HEX407 shift-tokens-wrong: stage s0: states 56, but a layer takes 56 tokens in"
        f" {tensor_us} us tensor parallel and in {split_us} us sequence parallel"
    )
