"""Sequence parallelism: what it sends, what it takes, and from which step on it is the faster."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.clusters import device_type, host, profile, spec_of, tiny_model
from support.llama_70b import LLAMA_70B

from hexplan.cost import (
    DeviceShard,
    ShardSizes,
    Sharing,
    StageShape,
    find_sharing,
    kv_room_tokens,
    stage_speed,
)
from hexplan.cost.roofline import Roofline
from hexplan.cost.sequence import (
    SequenceRoofline,
    ShiftRoofline,
    crossing_tokens,
)
from hexplan.cost.stage_step_times import stage_step_times
from hexplan.cost.step_times import StepTimes
from hexplan.device import DeviceType, Efficiency
from hexplan.host import Interconnect
from hexplan.model import Experts, Model, WeightFormat
from hexplan.spec import Spec

LATENCY = Interconnect(bandwidth_bytes_per_s=10**15, latency_s=Decimal("0.001"))
WIRE = Interconnect(bandwidth_bytes_per_s=10**9, latency_s=Decimal("0.00001"))
Group = tuple[DeviceShard, ...]


def cut(model: Model, n: int, kind: DeviceType) -> Group:
    sizes = ShardSizes(model.kv_heads // n, model.ffn // n, model.vocab // n)
    return (DeviceShard(kind, sizes),) * n


def free(bandwidth_bytes_per_s: float) -> Interconnect:
    """Return an interconnect without latency."""
    return Interconnect(bandwidth_bytes_per_s=int(bandwidth_bytes_per_s), latency_s=Decimal(0))


def reached(memory: float, compute: float) -> DeviceType:
    """Return a device that reaches 80 % of its bandwidth and 60 % of its compute."""
    shares = Efficiency(
        compute=Decimal("0.6"), bandwidth=Decimal("0.8"), error=Decimal("0.5"), origin="assumed"
    )
    return DeviceType(
        name="d",
        kind="cuda",
        memory_bytes=10**12,
        memory_bandwidth_bytes_per_s=int(memory),
        compute_flops_per_s=int(compute),
        efficiency=shares,
        origin="assumed",
    )


LLAMA_8B = LLAMA_70B.model_copy(
    update={"layers": 32, "hidden": 4096, "heads": 32, "ffn": 14336, "weights": None}
)
EIGHT = cut(LLAMA_70B, 8, reached(4.8e12, 1.5e15))
TWO = cut(LLAMA_8B, 2, reached(3.35e12, 9.9e14))


@pytest.mark.parametrize(
    ("tokens", "tensor_ms", "sequence_ms"),
    [(8192, 107.4, 7.5), (32768, 429.5, 30.2), (1024, 13.4, 0.94)],
)
def test_a_70b_model_sends_over_nvlink_what_its_published_shapes_say(
    tokens: int, tensor_ms: float, sequence_ms: float
) -> None:
    """Llama-70B, 8 devices at 350 GB/s: milliseconds of 80 layers, latencies apart.

    Per layer and token, two all-reduces bring 2 x 7/8 of 2 x 8192 numbers onto the wire of each
    device; the all-to-alls of Shift Parallelism (arXiv 2509.16495) 7/8 of an eighth of
    (2 x 64 + 2 x 8) x 128.
    """
    wire, none = free(350e9), free(1e18)
    for kind, expected_ms in ((Roofline, tensor_ms), (SequenceRoofline, sequence_ms)):
        with_wire, without = (
            Roofline(LLAMA_70B, EIGHT, way)
            if kind is Roofline
            else SequenceRoofline(LLAMA_70B, EIGHT, way, 10**9)
            for way in (wire, none)
        )
        sent_s = with_wire.layer_s(tokens, 0.0, 0, 0.0) - without.layer_s(tokens, 0.0, 0, 0.0)
        assert 80_000 * sent_s == pytest.approx(expected_ms, rel=0.01)


def closed_form(group: Group, model: Model, bandwidth: float, latency_s: float = 0.0) -> float:
    """Return the tokens from which sequence parallelism is faster, where reading binds.

    n* = [W (1 - 1/P) / BW + 2 (a2a - ar)] / [4 d (P - 1) / P - (P - 1) (2 H + 2 G) e / P^2] B / b,
    with `latency_s` for `a2a - ar`, the seconds that an all-to-all starts later than an all-reduce.
    """
    n, kind = len(group), group[0].device
    weights = model.hidden * (2 * model.heads + 2 * model.kv_heads) * model.head_dim
    weights += 3 * model.hidden * model.ffn
    stored = weights * (1 if model.weights else 2)
    reading = stored * (1 - 1 / n) / (0.8 * kind.memory_bandwidth_bytes_per_s)
    sent = 4 * model.hidden * (n - 1) / n
    sent -= (n - 1) * 2 * (model.heads + model.kv_heads) * model.head_dim / n**2
    return (reading + 2 * latency_s) / sent * bandwidth / 2


@pytest.mark.parametrize(
    ("group", "model", "bandwidth", "latency_s", "worked_out"),
    [(EIGHT, LLAMA_70B, 350e9, 5e-6, 1346), (TWO, LLAMA_8B, 2.5e9, 0.0, 18.1)],
)
def test_the_modes_cross_where_the_closed_form_says(
    group: Group, model: Model, bandwidth: float, latency_s: float, worked_out: float
) -> None:
    """Evaluated at assumed figures of 8 H200 over NVLink and of 2 H100 in two hosts.

    The closed form is exact here, as work and reading the weights add up. It leaves out the gather
    at the end, which is less than a hundredth.
    """
    assert closed_form(group, model, bandwidth, latency_s) == pytest.approx(worked_out, rel=0.003)
    found = crossing_tokens(model, StageShape((0, model.layers), group), free(bandwidth))
    assert found is not None
    expected = closed_form(group, model, bandwidth)
    assert found - 1e-9 <= expected * 1.012
    assert expected * 0.998 < found + len(group)


def test_the_crossing_is_far_later_on_nvlink_than_between_hosts() -> None:
    fast = crossing_tokens(LLAMA_70B, StageShape((0, 80), EIGHT), free(350e9))
    slow = crossing_tokens(LLAMA_70B, StageShape((0, 80), EIGHT), free(2.5e9))
    assert (fast, slow) == (1280, 8)


@pytest.mark.parametrize(("n", "kv_heads", "group"), [(2, 4, 1), (4, 4, 2), (2, 2, 4)])
@pytest.mark.parametrize("tokens", [1, 7, 12])
def test_what_is_sent_is_what_lies_on_another_device(
    n: int, kv_heads: int, group: int, tokens: int
) -> None:
    """Count numbers one by one: who has them before an exchange, and who needs them after."""
    model = tiny_model(8, kv_heads).model_copy(update={"heads": kv_heads * group})
    rows, heads = ceil(tokens / n), kv_heads * group
    leaving = [0] * n

    def exchange(per_device: int, width: int) -> None:
        for token in range(rows * n):
            for head in range(per_device * n):
                holder, owner = token // rows, head // per_device
                leaving[holder] += width * (holder != owner)

    for _ in range(3):  # layers
        exchange(heads // n, model.head_dim)  # queries
        exchange(kv_heads // n, 2 * model.head_dim)  # keys and values
        exchange(heads // n, model.head_dim)  # back: the owner of a token for that of a head
    for holder in range(n):  # the gather
        leaving[holder] += (n - 1) * rows * model.hidden
    slow, fast = (
        SequenceRoofline(model, cut(model, n, device_type("d")), free(rate), 3)
        for rate in (1, 10**18)
    )
    seconds = slow.layer_s(tokens, 0.0, 0, 0.0) - fast.layer_s(tokens, 0.0, 0, 0.0)
    assert [2 * count for count in leaving] == pytest.approx([3 * seconds] * n)


def test_a_step_is_the_one_of_the_formulation_by_hand() -> None:
    """Two devices, 5 tokens, so 3 rows on each; p = 41,088 parameters of a whole layer.

    4 heads of 16 make 64 queries, keys and values: (2 x 64 + 2 x 64) numbers a row are exchanged.
    """
    model = tiny_model(8)
    found = SequenceRoofline(model, cut(model, 2, device_type("d")), WIRE, 4)
    work_s = 2 * 41_088 * 3 / 0.5e14
    reading_s = 2 * 41_088 / 0.7e12
    attention_s = 300 * 2 * 32 * 2 / 0.7e12
    exchange_s = 2 * 20e-6 + 3 * 256 * 2 / (2 * 1e9)
    gather_s = 20e-6 + 3 * 64 * 2 / 1e9
    expected = work_s + reading_s + attention_s + exchange_s + gather_s / 4
    assert found.layer_s(0, 0.0, 5, 300) == pytest.approx(expected, rel=1e-12)
    assert found.head_s(5) == Roofline(model, cut(model, 2, device_type("d")), WIRE).head_s(5)


def test_a_small_batch_is_padded_to_a_token_for_each_device() -> None:
    model = tiny_model(8)
    found = SequenceRoofline(model, cut(model, 4, device_type("d")), WIRE, 8)
    times = [found.layer_s(0, 0.0, tokens, 0.0) for tokens in range(10)]
    assert times[0] == 0.0
    assert times[1] == times[2] == times[3] == times[4] < times[5]
    assert times[5] == times[8] < times[9]


@given(reach=st.integers(0, 10**6), context=st.integers(0, 10**6), tokens=st.integers(1, 600))
def test_attention_takes_as_long_in_both_modes(reach: int, context: int, tokens: int) -> None:
    model, none = tiny_model(8), 0.0
    group = cut(model, 4, device_type("d"))
    modes = Roofline(model, group, WIRE), SequenceRoofline(model, group, WIRE, 8)
    tensor, sequence = (
        mode.layer_s(tokens, reach, 3, context) - mode.layer_s(tokens, none, 3, none)
        for mode in modes
    )
    assert tensor == pytest.approx(sequence, rel=1e-6, abs=1e-15)


@given(
    n=st.sampled_from([2, 4]),
    bandwidth=st.sampled_from([10**9, 10**10, 10**11]),
    latency_us=st.integers(0, 50),
    tokens=st.integers(1, 5000),
)
def test_shift_is_the_faster_of_both_where_no_row_is_padded(
    n: int, bandwidth: int, latency_us: int, tokens: int
) -> None:
    """And never slower than either mode with the padding, nor than the slower of both without."""
    model = LLAMA_8B
    group = cut(model, n, reached(3.35e12, 9.9e14))
    wire = Interconnect(bandwidth_bytes_per_s=bandwidth, latency_s=Decimal(latency_us) / 10**6)
    threshold = crossing_tokens(model, StageShape((0, 32), group), wire)
    assert threshold is not None
    tensor, sequence = Roofline(model, group, wire), SequenceRoofline(model, group, wire, 32)
    shift = ShiftRoofline(model, group, wire, 32, threshold)
    step_s = shift.layer_s(tokens, 0.0, 0, 0.0)
    each = [mode.layer_s(tokens, 0.0, 0, 0.0) for mode in (tensor, sequence)]
    assert step_s == each[tokens > threshold]
    padded = n * ceil(tokens / n)
    padded_s = min(mode.layer_s(padded, 0.0, 0, 0.0) for mode in (tensor, sequence))
    assert step_s <= padded_s * (1 + 1e-12)


def test_experts_are_read_by_the_tokens_that_a_device_has() -> None:
    model = tiny_model(8).model_copy(update={"experts": Experts(total=8, active=2)})
    group = cut(model, 4, device_type("d"))
    found = SequenceRoofline(model, group, free(10**18), 8)
    expert_s = 2 * 3 * 64 * 128 / 0.7e12
    work_s = found.layer_s(8, 0.0, 0, 0.0) - found.layer_s(4, 0.0, 0, 0.0)
    touched = 8 * (0.75 - 0.75**2)
    token_s = 2 * (4 * 64 * 64 + 2 * 64 + 8 * 64 + 2 * 3 * 64 * 128) / 0.5e14
    assert work_s == pytest.approx(token_s + touched * expert_s)


def test_a_measured_start_of_an_exchange_counts_in_place_of_twice_that_of_a_sum() -> None:
    model, kind = tiny_model(8, kv_heads=2), device_type("d")
    group, layers = cut(model, 2, kind), 8

    def layer_s(exchange_latency_s: Decimal | None) -> float:
        link = WIRE.model_copy(update={"exchange_latency_s": exchange_latency_s})
        return SequenceRoofline(model, group, link, layers).layer_s(20, 0.0, 0, 0.0)

    assert layer_s(2 * WIRE.latency_s) == layer_s(None)
    more_s = layer_s(Decimal("0.001")) - layer_s(None)
    assert more_s == pytest.approx((2 + 1 / layers) * (0.001 - 2 * float(WIRE.latency_s)))


def test_a_chunk_pays_for_its_messages_and_its_weights_by_itself() -> None:
    model = tiny_model(8)
    found = SequenceRoofline(model, cut(model, 2, device_type("d")), LATENCY, 8)
    once, thrice = (found.layer_s(300, 0.0, 0, 0.0, passes) for passes in (1, 3))
    assert thrice - once == pytest.approx(2 * (2 * 41_088 / 0.7e12 + 2 * 2.125e-3))


@pytest.mark.parametrize(
    ("change", "kinds", "link"),
    [
        ({}, "aa", None),  # nothing to exchange tokens over
        ({}, "a", WIRE),  # nobody to share with
        ({}, "ab", WIRE),  # devices of two types
        ({}, "aaa", WIRE),  # 4 heads on 3 devices
    ],
)
def test_a_group_that_cannot_share_tokens_evenly_does_not(
    change: dict[str, object], kinds: str, link: Interconnect | None
) -> None:
    model = tiny_model(8).model_copy(update=change)
    group = tuple(DeviceShard(device_type(name), ShardSizes(1, 32, 64)) for name in kinds)
    shape = StageShape((0, 8), group, link)
    assert find_sharing("sp", model, shape) is None
    assert find_sharing("shift", model, shape) is None
    assert find_sharing("tp", model, shape) == Sharing()


def test_shards_that_part_blocks_of_weights_cannot_be_views_of_them() -> None:
    """Two heads of 16 on each of two devices: 32 channels, a block of 64 is parted."""
    shape = StageShape((0, 8), cut(tiny_model(8), 2, device_type("a")), WIRE)
    for side, is_possible in ((16, True), (64, False)):
        form = WeightFormat(name="fp8", block_rows=side, block_columns=side)
        model = tiny_model(8).model_copy(update={"weights": form})
        assert (find_sharing("shift", model, shape) is not None) == is_possible
        assert find_sharing("sp", model, shape) == Sharing("sp")


def _spec(profiled: bool) -> Spec:
    profiles = [profile("d", [400.0] * 8, tp=2)] if profiled else []
    spec = spec_of(tiny_model(8), [host("h", ["d", "d"])], profiles=profiles)
    points = ((4, Decimal("0.004")), (400, Decimal("0.04")))
    timed = tuple(
        p.model_copy(update={"prefill_layer_s": points, "decode_layer_s": points})
        for p in spec.cluster.profiles
    )
    return replace(spec, cluster=spec.cluster.model_copy(update={"profiles": timed}))


def _times(spec: Spec, sharing: Sharing) -> StepTimes:
    group = cut(spec.model, 2, device_type("d"))
    return stage_step_times(spec, StageShape((1, 5), group, WIRE, sharing))


@pytest.mark.parametrize("profiled", [False, True])
@pytest.mark.parametrize(("prompt", "decode"), [(8, 4), (9, 4), (0, 12), (0, 13), (200, 0)])
def test_a_step_of_a_shift_stage_counts_prompt_tokens_and_decodes(
    profiled: bool, prompt: int, decode: int
) -> None:
    spec = _spec(profiled)
    one_mode = Sharing() if prompt + decode <= 12 else Sharing("sp")
    found, expected = (_times(spec, sharing) for sharing in (Sharing("shift", 12), one_mode))
    step = (prompt, prompt**2 / 2, decode, decode * 50.0)
    assert found.layer_s(*step) == expected.layer_s(*step) > 0


def test_sequence_parallel_times_are_scaled_as_the_group_was_measured_tensor_parallel() -> None:
    spec = _spec(profiled=True)
    group = cut(spec.model, 2, device_type("d"))
    bare = replace(spec, cluster=spec.cluster.model_copy(update={"profiles": ()}))
    tensor, sequence = (
        stage_speed(bare, StageShape((1, 5), group, WIRE, sharing), 4096)
        for sharing in (Sharing(), Sharing("sp"))
    )
    found = stage_speed(spec, StageShape((1, 5), group, WIRE, Sharing("sp")), 4096)
    expected = 400 * sequence.micro_tokens_per_s / tensor.micro_tokens_per_s
    assert found.micro_tokens_per_s / 1e6 == pytest.approx(expected, rel=1e-6)
    assert (found.origin, found.error) == ("measured 2 x d, scaled", Decimal("0.25"))
    assert _times(spec, Sharing("sp")).origin == "measured 2 x d, scaled"
    assert _times(spec, Sharing("shift", 12)).measured_tokens == (400, 400)


def test_whole_layers_leave_less_room_for_the_kv_cache() -> None:
    """A whole layer is 82,176 bytes, half of one 41,216: norms are on every device anyway."""
    spec = spec_of(tiny_model(8), [host("h", ["d", "d"])])
    group = cut(spec.model, 2, device_type("d"))
    tensor, sequence, shift = (
        kv_room_tokens(spec, StageShape((1, 5), group, sharing=sharing))
        for sharing in (Sharing(), Sharing("sp"), Sharing("shift", 12))
    )
    assert shift == sequence < tensor
    token = 4 * 2 * 2 * 16 * 2
    # 64 tokens in a step: 32 rows of 4 x 64 + 3 x 64 + 2 x 128, and all 64 of 3 x 32 + 64.
    more_work = 2 * (32 * 704 + 64 * 160) - 2 * 64 * (256 + 96 + 128)
    assert abs((tensor - sequence) * token - 4 * (82_176 - 41_216) - more_work) < token
