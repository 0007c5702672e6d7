"""Step times: measured ones go through every point, datasheet ones add up to `T(k)`."""

from __future__ import annotations

from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.clusters import device_type, host, spec_of, tiny_model

from hexplan.cluster import Profile
from hexplan.cost import DeviceShard, ShardSizes, StageShape, stage_speed
from hexplan.cost.step_times import StepTimes
from hexplan.cost.steps import measured_steps, tensor_step_times
from hexplan.field_types import Range
from hexplan.spec import Spec

PREFILL = ((0, Decimal(0)), (100, Decimal("0.010")), (300, Decimal("0.020")))
DECODE = ((0, Decimal(0)), (4, Decimal("0.008")), (8, Decimal("0.010")))
MEASURED = Profile(
    device="Fast",
    tp=1,
    tokens_per_s=(Decimal(10),) * 8,
    prefill_layer_s=PREFILL,
    decode_layer_s=DECODE,
    source="made up",
)
WHOLE = ShardSizes(4, 128, 256)
HALF = ShardSizes(2, 64, 128)


def _spec() -> Spec:
    return spec_of(tiny_model(8), [host("a", ["Fast", "Fast"])], types=[device_type("Fast")])


def _shape(spec: Spec, layers: Range, *sizes: ShardSizes) -> StageShape:
    group = tuple(DeviceShard(spec.cluster.device_types[0], size) for size in sizes)
    return StageShape(layers, group, spec.cluster.hosts[0].interconnect)


def _steps(spec: Spec, *sizes: ShardSizes) -> StepTimes:
    return tensor_step_times(spec, _shape(spec, (5, 8), *sizes))


def _measured() -> StepTimes:
    spec = _spec()
    cluster = spec.cluster.model_copy(update={"profiles": (MEASURED,)})
    return _steps(Spec(cluster, spec.model, spec.workload), WHOLE)


@pytest.mark.parametrize(
    ("prompt", "decode", "seconds"),
    [
        (100, 0, 0.010),  # a point
        (90, 0, 0.009),  # on the way from the origin
        (50, 0, 0.008),  # no less than a batch of one, which reads the same weights
        (50, 4, 0.013),  # which are in the decodes' time here
        (200, 0, 0.015),  # half way between points
        (600, 0, 0.040),  # beyond the last: as fast per token
        (0, 4, 0.008),  # a point
        (0, 1, 0.008),  # below the first batch measured: the weights set the time
        (0, 6, 0.009),  # half way
        (0, 16, 0.020),  # beyond the last
        (100, 4, 0.018),  # both add up
        (600, 16, 0.060),  # both beyond
        (0, 0, 0.0),  # nothing
    ],
)
def test_measured_times_are_interpolated(prompt: int, decode: int, seconds: float) -> None:
    assert _measured().layer_s(prompt, 0.0, decode, 0) == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("prompt", "decode", "seconds"),
    [
        (0, 4, 0.008),  # decodes alone: their own table
        (52, 0, 0.013),  # prompts alone: theirs
        (96, 4, 0.021 + 0.008 - 0.005),  # 100 tokens, and what decodes read besides
        (100, 400, 0.105 + 0.5 - 0.084),  # beyond both tables
        (1, 1, 0.008),  # the same here
    ],
)
def test_steps_share_matrices_where_prompts_were_measured_as_short_as_decodes(
    prompt: int, decode: int, seconds: float
) -> None:
    prompts = (1, Decimal("0.005")), (4, Decimal("0.005")), (100, Decimal("0.021"))
    steps = measured_steps(MEASURED.model_copy(update={"prefill_layer_s": prompts}))
    assert steps.layer_s(prompt, 0.0, decode, 0) == pytest.approx(seconds)


@given(st.integers(0, 400), st.integers(0, 100))
def test_a_shared_step_takes_no_longer_than_its_parts_and_no_less_than_either(
    prompt: int, decode: int
) -> None:
    """Where one more token never costs more than the first, which reads the weights."""
    shared = Profile(
        device="Fast",
        tp=1,
        tokens_per_s=(Decimal(10),),
        prefill_layer_s=tuple((n, Decimal(50 + n) / 1000) for n in (1, 8, 64, 512)),
        decode_layer_s=tuple((n, Decimal(50 + 2 * n) / 1000) for n in (1, 8, 64, 128)),
        source="made up",
    )
    steps = measured_steps(shared)
    together_s = steps.layer_s(prompt, 0.0, decode, 0)
    alone = steps.layer_s(prompt, 0.0, 0, 0), steps.layer_s(0, 0.0, decode, 0)
    assert max(alone) <= together_s <= sum(alone) + 1e-12


def test_the_head_is_that_of_the_profile_where_it_was_measured() -> None:
    assert measured_steps(MEASURED).head_s(8) == 0
    points = (1, Decimal("0.002")), (4, Decimal("0.004"))
    steps = measured_steps(MEASURED.model_copy(update={"head_s": points}))
    assert [steps.head_s(rows) for rows in (0, 1, 2, 8)] == pytest.approx(
        [0, 0.002, 0.002 + 0.002 / 3, 0.008]
    )


def test_a_profile_tells_how_far_it_was_measured() -> None:
    assert _measured().measured_tokens == (300, 8)
    assert _measured().origin == "measured profile"


def test_a_profile_without_step_times_leaves_them_to_the_roofline() -> None:
    spec = _spec()
    bare = MEASURED.model_copy(update={"prefill_layer_s": (), "decode_layer_s": ()})
    cluster = spec.cluster.model_copy(update={"profiles": (bare,)})
    assert _steps(Spec(cluster, spec.model, spec.workload), WHOLE).origin == "datasheet"


@pytest.mark.parametrize("sizes", [(WHOLE,), (HALF, HALF)])
def test_datasheet_steps_add_up_to_the_speed_of_the_stage(sizes: tuple[ShardSizes, ...]) -> None:
    """A request is one prompt and D decodes at batch beta: (P + D) / T(k) is their time."""
    spec, layers, room = _spec(), (5, 8), 40_000
    steps = _steps(spec, *sizes)
    prompt, output = spec.workload.prompt_tokens.mean, spec.workload.output_tokens.mean
    batch = min(256, room * 3 // (spec.workload.mean_tokens * spec.model.layers))
    context = int(batch * (prompt + output / 2))
    seconds = 3 * steps.layer_s(prompt, prompt**2 / 2, 0, 0)
    seconds += output / batch * (3 * steps.layer_s(0, 0.0, batch, context) + steps.head_s(batch))
    speed = stage_speed(spec, _shape(spec, layers, *sizes), room)
    assert (prompt + output) / seconds == pytest.approx(speed.micro_tokens_per_s / 1e6, rel=1e-9)


@given(st.lists(st.integers(1, 400), min_size=1, max_size=6))
def test_chunks_of_a_prompt_do_the_work_of_the_whole(chunks: list[int]) -> None:
    """Without weights to read and messages to send, attention and matrices just add up."""
    total = sum(chunks)
    starts = [sum(chunks[:i]) for i in range(len(chunks) + 1)]
    reach = sum((b - a) * (a + (b - a) / 2) for a, b in pairwise(starts))
    assert reach == total**2 / 2


def test_what_a_step_takes_besides_comes_from_its_own_table_or_is_in_the_layers() -> None:
    """Few rows take as long as the fewest that were measured, as with decodes."""
    points = (2, Decimal("0.001")), (4, Decimal("0.003"))
    steps = measured_steps(MEASURED.model_copy(update={"step_s": points}))
    seconds = [steps.step_s(rows) for rows in (1, 2, 3, 4, 8)]
    assert seconds == pytest.approx([0.001, 0.001, 0.002, 0.003, 0.006])
    assert measured_steps(MEASURED).step_s(3) == 0.0
    assert _steps(_spec(), WHOLE).step_s(3) == 0.0  # of a datasheet
