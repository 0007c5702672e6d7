"""Datasheet times of a layer: work and bytes, each over the share of its peak that is reached.

The times of work and of reading weights are added, because measured layers hardly overlap them
(docs/formulation.md 4, docs/decisions/0006).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from hexplan.cost.memory import kv_bytes_per_token
from hexplan.cost.stage_shape import DeviceShard
from hexplan.cost.weights import (
    ShardSizes,
    dense_bytes,
    experts_bytes,
    read_share,
    table_bytes,
    token_parameters,
)
from hexplan.device import DeviceType
from hexplan.host import Interconnect
from hexplan.model import Model


class Roofline:
    """The seconds of one layer of a stage, and of the output head."""

    def __init__(
        self,
        model: Model,
        group: Sequence[DeviceShard],
        interconnect: Interconnect | None,
    ) -> None:
        self._model = model
        self._shards = tuple(shard_times(model, shard.device, shard.sizes) for shard in group)
        num_devices = len(group)
        self._reduce_s, self._reduce_token_s = 0.0, 0.0
        if num_devices > 1 and interconnect is not None:
            steps = 2 * (num_devices - 1)
            token_bytes = model.hidden * model.dtype_bytes
            rate = num_devices * interconnect.bandwidth_bytes_per_s
            self._reduce_s = 2 * steps * float(interconnect.latency_s)
            self._reduce_token_s = 2 * steps * token_bytes / rate

    def layer_s(
        self, prompt: int, reach: float, decode: int, context: float, passes: int = 1
    ) -> float:
        """Return the seconds of one layer for a step, or for several equal steps in a row.

        Parameters
        ----------
        prompt
            Prompt tokens.
        reach
            Sum of the numbers of positions that those tokens attend to.
        decode
            Decoded tokens, one per request.
        context
            Sum of the contexts of those requests, in tokens.
        passes
            Number of steps that share this work; each of them reads the weights.
        """
        tokens = prompt + decode
        if not tokens:
            return 0.0
        touched = read_share(self._model, math.ceil(tokens / passes))
        slowest = max(
            tokens * s.token_s
            + reach * s.reach_s
            + context * max(s.reach_s, s.kv_s)
            + passes * (s.dense_s + touched * s.experts_s)
            for s in self._shards
        )
        return slowest + passes * self._reduce_s + tokens * self._reduce_token_s

    def head_s(self, rows: int) -> float:
        """Return the seconds of the output head for `rows` tokens."""
        if not rows:
            return 0.0
        return max(rows * s.head_token_s + s.head_weights_s for s in self._shards)


@dataclass(frozen=True, slots=True)
class ShardTimes:
    """Seconds per unit of work of one device's part of a layer."""

    dense_s: float
    """Reading the weights that every token uses, once."""
    experts_s: float
    """Reading all experts once."""
    token_s: float
    """Matrix work of one token."""
    reach_s: float
    """Attention of one token to one position."""
    kv_s: float
    """Reading the keys and values of one position."""
    head_weights_s: float
    """Reading the output head once."""
    head_token_s: float
    """Matrix work of one token in the output head."""


def _peak(model: Model, device: DeviceType) -> int:
    """Return the peak rate in the model's dtype, in operations per second."""
    if model.dtype == "float32" and device.float32_flops_per_s:
        return device.float32_flops_per_s
    return device.compute_flops_per_s


def _matrix_peak(model: Model, device: DeviceType) -> int:
    """Return the peak rate of the layers' matrices, which may be multiplied in a smaller type."""
    rates = {
        "fp8": device.fp8_flops_per_s,
        "int8": device.int8_ops_per_s,
        "fp4": device.fp4_flops_per_s,
    }
    operands = model.weights.multiplied_in if model.weights else None
    return (rates[operands] if operands else None) or _peak(model, device)


def shard_times(model: Model, device: DeviceType, sizes: ShardSizes) -> ShardTimes:
    """Return the times of a device for its shard of a layer and of the output head."""
    efficiency = device.efficiency
    flops_per_s = float(efficiency.compute) * _peak(model, device)
    matrix_flops_per_s = float(efficiency.compute) * _matrix_peak(model, device)
    bytes_per_s = float(efficiency.bandwidth) * device.memory_bandwidth_bytes_per_s
    head = sizes.vocab * model.hidden
    query_width = sizes.kv_heads * model.group * model.head_dim
    return ShardTimes(
        dense_s=dense_bytes(model, sizes) / bytes_per_s,
        experts_s=experts_bytes(model, sizes) / bytes_per_s,
        token_s=2 * token_parameters(model, sizes) / matrix_flops_per_s,
        reach_s=4 * query_width / flops_per_s,
        kv_s=kv_bytes_per_token(model, sizes, (0, 1)) / bytes_per_s,
        head_weights_s=table_bytes(model, "head", sizes.vocab) / bytes_per_s,
        head_token_s=2 * head / flops_per_s,
    )
