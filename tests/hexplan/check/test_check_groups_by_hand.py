"""The figures of the hand-made plan whose devices share out tokens in groups, step by step."""

from __future__ import annotations

from fractions import Fraction

from support.grouped_plans import (
    BROKEN_GROUPED,
    GROUPED,
    SHIFT_TOKENS,
    SPEED,
    split_s,
    tensor_s,
)
from support.shared_plans import HALF, MATRICES, MICRO, READING

from hexplan.check import check_plan
from hexplan.plan import Plan


def test_a_plan_that_shares_tokens_in_groups_breaks_no_rule() -> None:
    assert check_plan(GROUPED) == ()
    text = GROUPED.model_dump_json(by_alias=True)
    assert '"sp_degree":2' in text
    assert Plan.model_validate_json(text) == GROUPED


def test_a_device_holds_half_of_each_layer_and_its_part_of_the_vocabulary() -> None:
    memory = GROUPED.stages[0].memory[0]
    assert memory.weights_bytes == 2 * (6 * HALF + 2 * 32 * 64 + 64) == 267_904
    # 61 tokens are 31 rows: the residual stream, half of heads and channels; then all 62 rows.
    rows = 31 * (4 * 64 + 64 + 160) + 62 * (32 + 64)
    assert memory.workspace_bytes == 2 * rows + 4 * 32 * 256 == 74_432
    assert memory.free_bytes == 96 < 6 * 2 * 8 * 2


def test_the_speed_is_that_of_the_mode_of_each_step() -> None:
    """2,904 tokens of KV admit 36 requests of 80 tokens; a prompt of 60 goes in one piece."""
    position, read = Fraction(4 * 16, MATRICES), Fraction(2 * 8 * 2, READING)
    prefill = split_s(60) + 60**2 / Fraction(2) * position
    decode = tensor_s(36) + 36 * 70 * read
    head = Fraction(2 * 36 * 32 * 64, MATRICES) + Fraction(32 * 64 * 2, READING)
    seconds = 6 * (prefill + Fraction(20, 36) * decode) + Fraction(20, 36) * head
    assert 0 <= 80 / seconds - Fraction(SPEED) < MICRO


def test_the_modes_cross_between_36_and_38_tokens() -> None:
    assert tensor_s(SHIFT_TOKENS) < split_s(SHIFT_TOKENS)
    assert split_s(SHIFT_TOKENS + 2) <= tensor_s(SHIFT_TOKENS + 2)


def test_a_degree_that_does_not_divide_the_devices_is_told_with_those_that_do() -> None:
    case = next(case for case in BROKEN_GROUPED if "does not divide" in case.sentence)
    assert (
        "HEX212 sharing-impossible: stage s0: it is shift, but its SP degree is 3, needed a divisor"
        " of its 4 devices above 1 and below 4"
    ) in map(str, check_plan(case.plan))


def test_a_wrong_threshold_is_told_with_the_degrees() -> None:
    case = next(case for case in BROKEN_GROUPED if "tokens of their own" in case.sentence)
    (found,) = check_plan(case.plan)
    tensor_us, split_us = (round(float(mode(40) * 10**6), 3) for mode in (tensor_s, split_s))
    assert str(found).endswith(
        f"states 40, but a layer takes 40 tokens in {tensor_us} us tensor parallel and in"
        f" {split_us} us as SP 2 x TP 2"
    )
