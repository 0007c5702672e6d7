"""Steps in groups take as long by the check as by the planner, which share no code."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.clusters import device_type, tiny_model

from hexplan.check.stage.roofline import ShardOnDevice
from hexplan.check.stage.sequence import Spread, sequence_seconds
from hexplan.cost import DeviceShard, ShardSizes
from hexplan.cost.sequence import SequenceRoofline
from hexplan.host import Interconnect
from hexplan.model import Experts, WeightFormat
from hexplan.plan import Shard

CHANGES: dict[str, dict[str, object]] = {
    "plain": {},
    "experts": {"experts": Experts(total=8, active=2)},
    "quantised": {"weights": WeightFormat(name="int4", block_columns=16, zero_bits=4)},
    "biased": {"qkv_bias": True, "out_bias": True, "ffn_bias": True, "qk_norm": True},
}


def cut(size: int, n: int) -> list[tuple[int, int]]:
    """Cut `[0, size)` into parts of which the first ones are larger by one."""
    ends = [size // n * i + min(i, size % n) for i in range(n + 1)]
    return list(zip(ends, ends[1:], strict=False))


@given(
    change=st.sampled_from(sorted(CHANGES)),
    shape=st.sampled_from([(4, 2), (6, 2), (6, 3), (8, 2), (8, 4), (4, None), (6, None)]),
    ffn=st.integers(97, 130),
    tokens=st.integers(1, 3000),
    num_layers=st.integers(1, 40),
    contention=st.sampled_from(["0", "0.4"]),
    exchange_us=st.sampled_from([None, 14]),
)
def test_a_step_takes_as_long_by_the_check_as_by_the_planner(
    change: str,
    shape: tuple[int, int | None],
    ffn: int,
    tokens: int,
    num_layers: int,
    contention: str,
    exchange_us: int | None,
) -> None:
    n, degree = shape
    model = tiny_model(num_layers, kv_heads=n).model_copy(
        update={"heads": 2 * n, "ffn": ffn, **CHANGES[change]}
    )
    wire = Interconnect(
        bandwidth_bytes_per_s=10**9,
        latency_s=Decimal("0.000009"),
        device_latency_s=Decimal("0.000002"),
        contention=Decimal(contention),
        exchange_latency_s=None if exchange_us is None else Decimal(exchange_us) / 10**6,
    )
    kind = device_type("d")
    shards = [
        Shard(device=i, kv_heads=(i, i + 1), ffn=part, vocab=(i, i + 1))
        for i, part in enumerate(cut(ffn, n))
    ]
    group = tuple(DeviceShard(kind, ShardSizes.of(shard)) for shard in shards)
    planned_s = SequenceRoofline(model, group, wire, num_layers, degree).layer_s(tokens, 0, 0, 0)
    held = [ShardOnDevice(shard, kind) for shard in shards]
    checked_s = sequence_seconds(model, held, wire, tokens, Spread(num_layers, degree))
    assert planned_s == pytest.approx(float(checked_s), rel=1e-9)
