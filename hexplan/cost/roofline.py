"""Datasheet times of a layer: work and bytes, each over the share of its peak that is reached.

Dense kernels hide most of the shorter of work and reading behind the longer, experts hide nothing;
attention has an efficiency of its own, and every step takes something whatever it holds
(docs/formulation.md 4, docs/decisions/0011).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from hexplan.cost.collectives import all_reduce_cost
from hexplan.cost.memory import kv_bytes_per_token
from hexplan.cost.stage_shape import DeviceShard
from hexplan.cost.weights import (
    ShardSizes,
    dense_bytes,
    experts_bytes,
    read_share,
    table_bytes,
    token_expert_parameters,
    token_parameters,
)
from hexplan.device import DeviceType, Efficiency, KernelEfficiency
from hexplan.host import Interconnect
from hexplan.model import Model


class Roofline:
    """The seconds of one layer of a stage, and of the output head.

    Parameters
    ----------
    model
        The model, or the model as so many devices hold it.
    """

    def __init__(
        self,
        model: Model,
        group: Sequence[DeviceShard],
        interconnect: Interconnect | None,
    ) -> None:
        self._model = model = model.as_held_by(len(group))
        self._shards = tuple(
            shard_times(model, shard.device, shard.sizes) for shard in distinct(group)
        )
        reduce = all_reduce_cost(interconnect, len(group))
        self._reduce_s = 2 * reduce.start_s
        self._reduce_token_s = 2 * reduce.byte_s * model.hidden * model.dtype_bytes

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
            s.matrices_s(tokens, touched, passes) + s.attention_s(reach, context, passes)
            for s in self._shards
        )
        return slowest + passes * self._reduce_s + tokens * self._reduce_token_s

    def head_s(self, rows: int) -> float:
        """Return the seconds of the output head for `rows` tokens."""
        if not rows:
            return 0.0
        return max(s.head.seconds(rows, 1) for s in self._shards)


def distinct(group: Sequence[DeviceShard]) -> tuple[DeviceShard, ...]:
    """Return one device of each kind of device and shard, as the others take as long."""
    return tuple({(id(shard.device), shard.sizes): shard for shard in group}.values())


@dataclass(frozen=True, slots=True)
class KernelTimes:
    """Seconds of the matrices of one kind in one device's part of a layer."""

    read_s: float
    """Reading them once."""
    token_s: float
    """The work of one token."""
    exposed: float
    """Share of the shorter of work and reading that the longer does not hide."""
    start_s: float
    """What a step takes whatever it holds."""

    def seconds(self, tokens: int, reads: float, steps: int = 0) -> float:
        """Return the seconds of the work of some tokens, and of so many reads, in some steps."""
        work_s, read_s = tokens * self.token_s, reads * self.read_s
        shorter_s, longer_s = (work_s, read_s) if work_s < read_s else (read_s, work_s)
        return longer_s + self.exposed * shorter_s + steps * self.start_s


@dataclass(frozen=True, slots=True)
class ShardTimes:
    """Seconds of one device's part of a layer and of the output head."""

    dense: KernelTimes
    """The matrices that every token uses."""
    experts: KernelTimes | None
    """All experts, if the model has any."""
    head: KernelTimes
    """The output head."""
    reach_s: float
    """Attention of one token to one position."""
    kv_s: float
    """Reading the keys and values of one position."""
    attention_start_s: float
    """The least that attention takes in a step."""

    def matrices_s(self, tokens: int, touched: float, steps: int = 1) -> float:
        """Return the seconds of a layer's matrices, of whose experts a share is used in a step."""
        seconds = self.dense.seconds(tokens, steps, steps)
        if self.experts is not None:
            seconds += self.experts.seconds(tokens, steps * touched, steps)
        return seconds

    def attention_s(self, reach: float, context: float, steps: int = 1) -> float:
        """Return the seconds of a layer's attention, of prompts and of decodes."""
        seconds = reach * self.reach_s + context * max(self.reach_s, self.kv_s)
        return max(steps * self.attention_start_s, seconds)


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
    peak, matrix_peak = _peak(model, device), _matrix_peak(model, device)
    bandwidth = device.memory_bandwidth_bytes_per_s

    def times(kind: KernelEfficiency, parameters: int, num_bytes: int, peak: int) -> KernelTimes:
        return KernelTimes(
            read_s=num_bytes / (float(kind.bandwidth) * bandwidth),
            token_s=2 * parameters / (float(kind.compute) * peak),
            exposed=float(kind.exposed),
            start_s=float(kind.start_s),
        )

    dense = dense_kernels(efficiency, model)
    dense_parts = token_parameters(model, sizes), dense_bytes(model, sizes)
    experts = expert_kernels(efficiency, model)
    expert_parts = token_expert_parameters(model, sizes), experts_bytes(model, sizes)
    head = sizes.vocab * model.hidden
    query_width = sizes.kv_heads * model.group * model.head_dim
    attention = float(efficiency.attention or efficiency.compute) * peak
    return ShardTimes(
        dense=times(dense, *dense_parts, matrix_peak),
        experts=times(experts, *expert_parts, matrix_peak) if model.experts else None,
        head=times(efficiency, head, table_bytes(model, "head", sizes.vocab), peak),
        reach_s=4 * query_width / attention,
        kv_s=kv_bytes_per_token(model, sizes, (0, 1)) / (float(efficiency.bandwidth) * bandwidth),
        attention_start_s=float(efficiency.attention_start_s),
    )


def dense_kernels(efficiency: Efficiency, model: Model) -> KernelEfficiency:
    """Return what dense matrices of the model's weights reach."""
    return (efficiency.fp8 if _multiplies_fp8(model) else None) or efficiency


def expert_kernels(efficiency: Efficiency, model: Model) -> KernelEfficiency:
    """Return what experts with the model's weights reach: as dense ones, if nobody measured it."""
    measured = efficiency.fp8_experts if _multiplies_fp8(model) else efficiency.experts
    return measured or dense_kernels(efficiency, model).model_copy(update={"exposed": Decimal(1)})


def _multiplies_fp8(model: Model) -> bool:
    """Say whether matrices are multiplied in 8-bit floats, which have kernels of their own."""
    return model.weights is not None and model.weights.multiplied_in == "fp8"
