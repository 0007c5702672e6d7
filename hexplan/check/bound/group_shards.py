"""How the devices of a group share heads, channels and words (docs/formulation.md 2)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, pairwise
from math import lcm

from hexplan.device import DeviceType
from hexplan.model import Model
from hexplan.plan import Shard


def group_shards(model: Model, devices: Sequence[DeviceType]) -> tuple[Shard, ...] | None:
    """Return one shard for each device, in proportion to memory bandwidth.

    More devices than KV heads have a copy of a KV head each, whatever their bandwidth. None if the
    group can form no stage: a device would get no KV head or no channel, or does not compute in the
    model's type.
    """
    n, heads_held = len(devices), model.as_held_by(len(devices)).kv_heads
    if n > min(heads_held, model.ffn):
        return None
    if model.dtype == "bfloat16" and not all(device.bfloat16 for device in devices):
        return None
    weights = [device.memory_bandwidth_bytes_per_s for device in devices]
    heads = [1] * n if n > model.kv_heads else _shares(model.kv_heads, weights)
    block = _block(model)
    channels = [block * share for share in _shares(model.ffn // block, weights)]
    channels[-1] += model.ffn % block
    words = _shares(model.vocab, weights)
    if not all(heads) or not all(channels):
        return None
    axes = (pairwise(accumulate(part, initial=0)) for part in (heads, channels, words))
    return tuple(
        Shard(device=index, kv_heads=head, ffn=channel, vocab=word)
        for index, (head, channel, word) in enumerate(zip(*axes, strict=True))
    )


def _block(model: Model) -> int:
    """Return how many channels quantised weights keep together."""
    form = model.weights
    return 1 if form is None else lcm(form.block_rows or 1, form.block_columns or 1)


def _shares(total: int, weights: Sequence[int]) -> list[int]:
    """Share out a total by largest remainder; of equal remainders the first counts as larger."""
    whole = sum(weights)
    shares = [total * weight // whole for weight in weights]
    missing = total - sum(shares)
    remainders = [(total * weight % whole, -index) for index, weight in enumerate(weights)]
    for _, index in sorted(remainders, reverse=True)[:missing]:
        shares[-index] += 1
    return shares
