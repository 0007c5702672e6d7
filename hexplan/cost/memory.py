"""What one device of a stage holds, in bytes (docs/formulation.md 3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hexplan.cluster import Cluster, DeviceType
from hexplan.model import Model
from hexplan.noun import Range
from hexplan.plan import DeviceMemory, Shard
from hexplan.workload import Workload

LOGIT_ROWS = 256
"""Sequences whose logits a last stage holds at once."""
LOGIT_BYTES = 4


@dataclass(frozen=True, slots=True)
class ShardSizes:
    """Lengths of one shard's intervals: `a`, `c` and `v` of the formulation."""

    kv_heads: int
    ffn: int
    vocab: int

    @classmethod
    def of(cls, shard: Shard) -> ShardSizes:
        """Measure a shard's intervals."""
        kv_heads, ffn, vocab = (
            end - first for first, end in (shard.kv_heads, shard.ffn, shard.vocab)
        )
        return cls(kv_heads, ffn, vocab)


def layer_parameters(model: Model, sizes: ShardSizes) -> int:
    """Count the parameters of one layer's shard."""
    attention_width = sizes.kv_heads * model.head_dim
    parameters = attention_width * model.hidden * (2 * model.group + 2)
    parameters += 3 * model.hidden * sizes.ffn + 2 * model.hidden
    if model.qkv_bias:
        parameters += attention_width * (model.group + 2)
    if model.out_bias:
        parameters += model.hidden
    if model.ffn_bias:
        parameters += 2 * sizes.ffn + model.hidden
    if model.qk_norm:
        parameters += 2 * model.head_dim
    return parameters


def end_parameters(model: Model, sizes: ShardSizes, layers: Range) -> int:
    """Count the parameters that only the first and the last layers bring."""
    is_first, is_last = layers[0] == 0, layers[1] == model.layers
    tables = int(is_first) + int(is_last and not (model.tied_embeddings and is_first))
    return tables * sizes.vocab * model.hidden + (model.hidden if is_last else 0)


def weights_bytes(model: Model, sizes: ShardSizes, layers: Range) -> int:
    """Return the bytes of a shard's weights."""
    per_layer = layer_parameters(model, sizes)
    ends = end_parameters(model, sizes, layers)
    return model.dtype_bytes * ((layers[1] - layers[0]) * per_layer + ends)


def workspace_bytes(model: Model, workload: Workload, sizes: ShardSizes, layers: Range) -> int:
    """Return the bytes of activations of the longest prompt, and of logits on a last stage."""
    attention_width = (model.group + 2) * sizes.kv_heads * model.head_dim
    width = 4 * model.hidden + attention_width + 2 * sizes.ffn
    logits = LOGIT_BYTES * sizes.vocab * LOGIT_ROWS if layers[1] == model.layers else 0
    return model.dtype_bytes * workload.prompt_tokens.max * width + logits


def kv_bytes_per_token(model: Model, sizes: ShardSizes, layers: Range) -> int:
    """Return the bytes that one token of context takes on this shard."""
    return 2 * (layers[1] - layers[0]) * sizes.kv_heads * model.head_dim * model.dtype_bytes


def budget_bytes(cluster: Cluster, device: DeviceType) -> int:
    """Return what the plan may fill of a device."""
    return int(device.memory_bytes * cluster.limits.memory_fraction)


def kv_room_tokens(
    model: Model, workload: Workload, layers: Range, devices: Sequence[tuple[int, ShardSizes]]
) -> int:
    """Return the context tokens for which no device overflows, given (budget, sizes) of each.

    Negative where the weights alone do not fit.
    """
    return min(
        (
            budget
            - weights_bytes(model, sizes, layers)
            - workspace_bytes(model, workload, sizes, layers)
        )
        // kv_bytes_per_token(model, sizes, layers)
        for budget, sizes in devices
    )


def memory_of(
    model: Model, workload: Workload, layers: Range, devices: Sequence[tuple[int, int, ShardSizes]]
) -> tuple[int, tuple[DeviceMemory, ...]]:
    """Return a stage's KV room in tokens and each device's memory, given (index, budget, sizes)."""
    room = kv_room_tokens(
        model, workload, layers, [(budget, sizes) for _, budget, sizes in devices]
    )
    parts = []
    for index, budget, sizes in devices:
        weights = weights_bytes(model, sizes, layers)
        workspace = workspace_bytes(model, workload, sizes, layers)
        kv = room * kv_bytes_per_token(model, sizes, layers)
        parts.append(
            DeviceMemory(
                device=index,
                budget_bytes=budget,
                weights_bytes=weights,
                kv_bytes=kv,
                workspace_bytes=workspace,
                free_bytes=budget - weights - workspace - kv,
            )
        )
    return room, tuple(parts)
