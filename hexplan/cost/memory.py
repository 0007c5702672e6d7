"""What one device of a stage holds, in bytes (docs/formulation.md 3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

from hexplan.cluster import Cluster
from hexplan.constants import LOGIT_BYTES, MAX_BATCH
from hexplan.cost.stage_shape import DeviceShard, StageShape
from hexplan.cost.weights import ShardSizes, weights_bytes
from hexplan.device import DeviceType
from hexplan.field_types import Range
from hexplan.model import Model
from hexplan.plan import DeviceMemory
from hexplan.schedule.limits import largest_step_tokens
from hexplan.spec import Spec
from hexplan.workload import Workload


def step_tokens(cluster: Cluster, workload: Workload) -> int:
    """Return the most prompt tokens that a stage puts through its layers at once."""
    return min(cluster.limits.chunk_tokens, workload.prompt_tokens.max)


def workspace_bytes(model: Model, tokens: int, sizes: ShardSizes, layers: Range) -> int:
    """Return the bytes of the activations of a step, and of logits if the stage is the last."""
    attention_width = (model.group + 2) * sizes.kv_heads * model.head_dim
    width = 4 * model.hidden + attention_width + 2 * sizes.ffn * model.active_experts
    logits = LOGIT_BYTES * sizes.vocab * MAX_BATCH if layers[1] == model.layers else 0
    return model.dtype_bytes * tokens * width + logits


def sequence_workspace_bytes(
    model: Model, tokens: int, sizes: tuple[ShardSizes, ShardSizes], layers: Range, groups: int
) -> int:
    """Return the same for a stage whose devices share out the tokens, in so many groups.

    A device has all heads and channels that it holds of its own tokens, its own heads of all
    tokens, and the rows that are gathered at the end of the stage.

    Parameters
    ----------
    sizes
        Of its own shard, and of all that it holds.
    """
    own, held = sizes
    rows = -(-tokens // groups)
    heads = (model.group + 2) * model.head_dim
    own_width = 4 * model.hidden + heads * held.kv_heads + 2 * held.ffn * model.active_experts
    all_width = heads * own.kv_heads + model.hidden
    logits = LOGIT_BYTES * own.vocab * MAX_BATCH if layers[1] == model.layers else 0
    return model.dtype_bytes * rows * (own_width + groups * all_width) + logits


def kv_bytes_per_token(model: Model, sizes: ShardSizes, layers: Range) -> int:
    """Return the bytes of KV cache that one token of context takes on a shard."""
    return 2 * (layers[1] - layers[0]) * sizes.kv_heads * model.head_dim * model.kv_bytes


def budget_bytes(cluster: Cluster, device: DeviceType) -> int:
    """Return how much of a device the plan may fill: a share of what others leave free."""
    free = max(0, device.memory_bytes - device.in_use_bytes)
    return int(free * cluster.limits.memory_fraction)


@dataclass(frozen=True, slots=True)
class MemoryBudget:
    """How much of a device the plan may fill, and what is gone from that before it starts."""

    budget_bytes: int
    """What the plan may fill."""
    overhead_bytes: int = 0
    """What driver and framework take of it."""

    @classmethod
    def of(cls, cluster: Cluster, device: DeviceType) -> MemoryBudget:
        """Return the budget of a device of the cluster."""
        return cls(budget_bytes(cluster, device), device.overhead_bytes)


@dataclass(frozen=True, slots=True)
class MemoryNeed:
    """What the plan may fill of one device, and what the device's shard takes of that."""

    budget_bytes: int
    weights_bytes: int
    workspace_bytes: int
    overhead_bytes: int
    kv_token_bytes: int
    """Bytes of KV cache per token of context."""

    @classmethod
    def of(
        cls, budget: MemoryBudget, model: Model, tokens: int, sizes: ShardSizes, layers: Range
    ) -> MemoryNeed:
        """Add up what a shard of a tensor-parallel stage needs.

        Parameters
        ----------
        tokens
            Tokens of the largest step.
        """
        return cls(
            budget.budget_bytes,
            weights_bytes(model, sizes, layers),
            workspace_bytes(model, tokens, sizes, layers),
            budget.overhead_bytes,
            kv_bytes_per_token(model, sizes, layers),
        )

    @property
    def fixed_bytes(self) -> int:
        """Everything but the KV cache."""
        return self.weights_bytes + self.workspace_bytes + self.overhead_bytes

    @property
    def kv_tokens(self) -> int:
        """Tokens of context that fit; negative if the rest alone does not fit."""
        return (self.budget_bytes - self.fixed_bytes) // self.kv_token_bytes

    def memory(self, index: int, kv_tokens: int) -> DeviceMemory:
        """Return how the device is filled with KV cache for so many tokens of context."""
        kv_bytes = kv_tokens * self.kv_token_bytes
        return DeviceMemory(
            device=index,
            budget_bytes=self.budget_bytes,
            weights_bytes=self.weights_bytes,
            kv_bytes=kv_bytes,
            workspace_bytes=self.workspace_bytes,
            overhead_bytes=self.overhead_bytes,
            free_bytes=self.budget_bytes - self.fixed_bytes - kv_bytes,
        )


def memory_needs(spec: Spec, shape: StageShape) -> tuple[MemoryNeed, ...]:
    """Return what each device of a stage needs, in the order of its group."""
    return tuple(map(partial(_need, spec, shape), shape.group, shape.held_sizes))


def kv_room_tokens(spec: Spec, shape: StageShape) -> int:
    """Return the most tokens of context with which no device of a stage overflows.

    Negative if the weights alone do not fit.
    """
    return min(need.kv_tokens for need in memory_needs(spec, shape))


def memory_of(
    spec: Spec, shape: StageShape, device_indices: Sequence[int], kv_tokens: int
) -> tuple[DeviceMemory, ...]:
    """Return how each device of a stage is filled, with KV cache for so many tokens."""
    needs = zip(device_indices, memory_needs(spec, shape), strict=True)
    return tuple(need.memory(index, kv_tokens) for index, need in needs)


def _need(spec: Spec, shape: StageShape, shard: DeviceShard, held: ShardSizes) -> MemoryNeed:
    model, layers, sizes = shape.model_of(spec.model), shape.layers, shard.sizes
    tokens = largest_step_tokens(spec.cluster, spec.workload)
    budget = MemoryBudget.of(spec.cluster, shard.device)
    need = MemoryNeed.of(budget, model, tokens, sizes, layers)
    if shape.sharing.is_tensor:
        return need
    small = min(tokens, shape.sharing.shift_tokens or 0)
    groups = shape.sharing.sp_degree or len(shape.group)
    # Shards are views into what is held; the embedding and the head are shared by vocabulary.
    return replace(
        need,
        weights_bytes=weights_bytes(model, held, layers),
        workspace_bytes=max(
            sequence_workspace_bytes(model, tokens, (sizes, held), layers, groups),
            workspace_bytes(model, small, sizes, layers),
        ),
    )
