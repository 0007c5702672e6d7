"""What one device of a stage holds, in bytes (docs/formulation.md 3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from hexplan.cluster import Cluster
from hexplan.cost.sharing import TENSOR, Sharing
from hexplan.cost.weights import ShardSizes, weights_bytes
from hexplan.device import DeviceType
from hexplan.model import Model
from hexplan.noun import Range
from hexplan.plan import DeviceMemory
from hexplan.schedule.limits import largest_step_tokens
from hexplan.step_limits import MAX_BATCH
from hexplan.workload import Workload

LOGIT_BYTES = 4


def step_tokens(cluster: Cluster, workload: Workload) -> int:
    """Return the tokens that a stage puts through its layers at once, at most."""
    return min(cluster.limits.chunk_tokens, workload.prompt_tokens.max)


def workspace_bytes(model: Model, tokens: int, sizes: ShardSizes, layers: Range) -> int:
    """Return the bytes of activations of so many tokens, and of logits on a last stage."""
    attention_width = (model.group + 2) * sizes.kv_heads * model.head_dim
    width = 4 * model.hidden + attention_width + 2 * sizes.ffn * model.active_experts
    logits = LOGIT_BYTES * sizes.vocab * MAX_BATCH if layers[1] == model.layers else 0
    return model.dtype_bytes * tokens * width + logits


def sequence_workspace_bytes(
    model: Model, tokens: int, sizes: ShardSizes, layers: Range, num_devices: int
) -> int:
    """Return the same where each device has a part of the tokens.

    That is all heads and channels of its own tokens, its heads of all of them, and the rows that
    are gathered where the stage ends.
    """
    rows = -(-tokens // num_devices)
    heads = (model.group + 2) * model.head_dim
    own_width = 4 * model.hidden + heads * model.kv_heads + 2 * model.ffn * model.active_experts
    all_width = heads * sizes.kv_heads + model.hidden
    logits = LOGIT_BYTES * sizes.vocab * MAX_BATCH if layers[1] == model.layers else 0
    return model.dtype_bytes * rows * (own_width + num_devices * all_width) + logits


def kv_bytes_per_token(model: Model, sizes: ShardSizes, layers: Range) -> int:
    """Return the bytes that one token of context takes on this shard."""
    return 2 * (layers[1] - layers[0]) * sizes.kv_heads * model.head_dim * model.kv_bytes


def budget_bytes(cluster: Cluster, device: DeviceType) -> int:
    """Return what the plan may fill of a device: its share of what others leave."""
    free = max(0, device.memory_bytes - device.in_use_bytes)
    return int(free * cluster.limits.memory_fraction)


@dataclass(frozen=True, slots=True)
class Need:
    """What the plan may fill of one device, and what its shard takes of that."""

    budget_bytes: int
    weights_bytes: int
    workspace_bytes: int
    overhead_bytes: int
    kv_token_bytes: int

    @classmethod
    def of(
        cls, room: tuple[int, int], step: tuple[Model, int], layers: Range, sizes: ShardSizes
    ) -> Need:
        """Add up what a shard needs.

        Parameters
        ----------
        room
            Budget and overhead of the device, in bytes.
        step
            The model, and the tokens that go through the layers at once.
        """
        model, tokens = step
        return cls(
            room[0],
            weights_bytes(model, sizes, layers),
            workspace_bytes(model, tokens, sizes, layers),
            room[1],
            kv_bytes_per_token(model, sizes, layers),
        )

    @property
    def fixed_bytes(self) -> int:
        """All but the KV cache."""
        return self.weights_bytes + self.workspace_bytes + self.overhead_bytes

    @property
    def kv_tokens(self) -> int:
        """Tokens of context that fit; negative where the rest alone does not."""
        return (self.budget_bytes - self.fixed_bytes) // self.kv_token_bytes

    def memory(self, index: int, kv_tokens: int) -> DeviceMemory:
        """Return how the device is filled with so many tokens of context."""
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


def need_of(
    cluster: Cluster,
    spec: tuple[Model, Workload],
    layers: Range,
    part: tuple[DeviceType, ShardSizes],
    way: tuple[Sharing, int] = (TENSOR, 1),
) -> Need:
    """Add up what a shard needs on a device of the cluster.

    Parameters
    ----------
    way
        How the stage's devices share its work, and how many they are.
    """
    (model, workload), (device, sizes), (sharing, num_devices) = spec, part, way
    room = budget_bytes(cluster, device), device.overhead_bytes
    tokens = largest_step_tokens(cluster, workload)
    need = Need.of(room, (model, tokens), layers, sizes)
    if sharing.is_tensor:
        return need
    small = min(tokens, sharing.shift_tokens or 0)
    return replace(
        need,
        # Shards are views into whole layers; the model's ends are shared by vocabulary.
        weights_bytes=weights_bytes(
            model, ShardSizes(model.kv_heads, model.ffn, sizes.vocab), layers
        ),
        workspace_bytes=max(
            sequence_workspace_bytes(model, tokens, sizes, layers, num_devices),
            workspace_bytes(model, small, sizes, layers),
        ),
    )


def kv_room_tokens(
    cluster: Cluster,
    spec: tuple[Model, Workload],
    layers: Range,
    group: Sequence[tuple[DeviceType, ShardSizes]],
    sharing: Sharing = TENSOR,
) -> int:
    """Return the context tokens for which no device overflows, given (device, shard) of each.

    Negative where the weights alone do not fit.
    """
    way = sharing, len(group)
    return min(need_of(cluster, spec, layers, part, way).kv_tokens for part in group)


def memory_of(
    cluster: Cluster,
    spec: tuple[Model, Workload],
    layers: Range,
    devices: Sequence[tuple[int, DeviceType, ShardSizes]],
    sharing: Sharing = TENSOR,
) -> tuple[int, tuple[DeviceMemory, ...]]:
    """Return a stage's KV room in tokens and each device's memory, given (index, device, shard)."""
    way = sharing, len(devices)
    needs = [need_of(cluster, spec, layers, (device, sizes), way) for _, device, sizes in devices]
    room = min(need.kv_tokens for need in needs)
    return room, tuple(
        need.memory(index, room) for (index, _, _), need in zip(devices, needs, strict=True)
    )
