"""The shape of a stage: what its memory and its speed depend on, besides model and workload."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hexplan.cost.sharing import TENSOR, Sharing
from hexplan.cost.weights import ShardSizes
from hexplan.device import DeviceType
from hexplan.field_types import Range
from hexplan.host import Interconnect
from hexplan.model import Model
from hexplan.plan import Plan, Stage


@dataclass(frozen=True, slots=True)
class DeviceShard:
    """A device and the sizes of the shard that it holds."""

    device: DeviceType
    sizes: ShardSizes


@dataclass(frozen=True, slots=True)
class StageShape:
    """Which layers a stage holds, on which devices, and how these work together."""

    layers: Range
    """`[first, end)`."""
    group: tuple[DeviceShard, ...]
    """Its devices, leader first."""
    interconnect: Interconnect | None = None
    """What joins its devices; nothing if the host has none."""
    sharing: Sharing = TENSOR
    """How its devices share the work."""

    @staticmethod
    def of(plan: Plan, stage: Stage) -> StageShape:
        """Return the shape of a plan's stage."""
        host = plan.cluster.host_by_name[stage.host]
        types = plan.cluster.device_type_by_name
        group = tuple(
            DeviceShard(types[host.devices[shard.device]], ShardSizes.of(shard))
            for shard in stage.shards
        )
        sharing = Sharing(
            stage.parallel,
            stage.shift_tokens,
            stage.sp_degree,
            stage.interleave,
            stage.kv_offload,
        )
        return StageShape(stage.layers, group, host.interconnect, sharing)

    @property
    def num_layers(self) -> int:
        """How many layers it holds."""
        return self.layers[1] - self.layers[0]

    @property
    def devices(self) -> tuple[DeviceType, ...]:
        """The type of each device, leader first."""
        return tuple(shard.device for shard in self.group)

    def model_of(self, model: Model) -> Model:
        """Return a model as its devices hold it: some KV heads several times, if need be."""
        return model.as_held_by(len(self.group))

    @property
    def held_sizes(self) -> tuple[ShardSizes, ...]:
        """What each device holds: its shard, or those of all it shares tokens with."""
        own = tuple(shard.sizes for shard in self.group)
        return own if self.sharing.is_tensor else shared_sizes(own, self.sharing.sp_degree)


def shared_sizes(own: Sequence[ShardSizes], sp_degree: int | None) -> tuple[ShardSizes, ...]:
    """Return what each device holds that shares tokens with the others of its exchange group.

    That is whole layers where all devices exchange, with all copies of KV heads. The vocabulary is
    divided in any case.
    """
    held, size = [], sp_degree or len(own)
    for index, sizes in enumerate(own):
        group = own[index // size * size :][:size]
        kv_heads, ffn = sum(one.kv_heads for one in group), sum(one.ffn for one in group)
        held.append(ShardSizes(kv_heads, ffn, sizes.vocab))
    return tuple(held)
