"""How the devices of one stage share heads, channels and vocabulary rows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import accumulate, pairwise

from hexplan.cost import ShardSizes
from hexplan.device import DeviceType
from hexplan.field_types import Range
from hexplan.model import Model


def split(total: int, shares: Sequence[int], unit: int = 1) -> tuple[int, ...]:
    """Split a total into whole parts in proportion to shares, by largest remainder.

    Ties go to the earlier part, so equal shares give parts that differ by at most one. With a
    unit, all parts are multiples of it but the last, which takes what is left.
    """
    if unit > 1:
        *parts, last = split(total // unit, shares)
        return (*(part * unit for part in parts), last * unit + total % unit)
    whole = sum(shares)
    parts = [total * share // whole for share in shares]
    by_remainder = sorted(range(len(shares)), key=lambda i: (-(total * shares[i] % whole), i))
    for i in by_remainder[: total - sum(parts)]:
        parts[i] += 1
    return tuple(parts)


def intervals(parts: Sequence[int]) -> tuple[Range, ...]:
    """Lay parts end to end from 0."""
    return tuple(pairwise(accumulate(parts, initial=0)))


def shard_sizes(model: Model, devices: Sequence[DeviceType]) -> tuple[ShardSizes, ...] | None:
    """Size each device's shard in proportion to its memory bandwidth.

    Decoding is bound by memory bandwidth, so all shards then take about the same time. More devices
    than KV heads have a copy of one each, however fast they are. Returns None if they cannot share
    the copies evenly, or if a device does not compute in the model's type or is too slow for one KV
    head. Quantised channels are split between their blocks.
    """
    num_heads = model.as_held_by(len(devices)).kv_heads
    if len(devices) > min(num_heads, model.ffn):
        return None
    if not all(device.runs(model.dtype) for device in devices):
        return None
    shares = [device.memory_bandwidth_bytes_per_s for device in devices]
    is_copied = num_heads > model.kv_heads
    sizes = tuple(
        ShardSizes(kv_heads, ffn, vocab)
        for kv_heads, ffn, vocab in zip(
            (1,) * num_heads if is_copied else split(num_heads, shares),
            split(model.ffn, shares, _block(model)),
            split(model.vocab, shares),
            strict=True,
        )
    )
    if any(size.kv_heads == 0 or size.ffn == 0 for size in sizes):
        return None
    return sizes


def _block(model: Model) -> int:
    """Return the number of channels that quantised weights keep together."""
    form = model.weights
    return math.lcm(form.block_rows or 1, form.block_columns or 1) if form else 1
