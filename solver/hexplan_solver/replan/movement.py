"""The bytes that a placement moves, and which device of a host takes which shard at least cost."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache

import numpy as np
from scipy.optimize import linear_sum_assignment

from hexplan.cost import HeldWeights, ShardSizes, fetched_layers, moved_bytes
from hexplan.field_types import Range
from hexplan_solver.placement.placement import PlacedStage
from hexplan_solver.problem.problem import Problem
from hexplan_solver.problem.shards import intervals
from hexplan_solver.replan.survivors import Holdings

FORBIDDEN = np.inf
"""Cost of a shard on a device of another type or of another pinned group."""


@dataclass(frozen=True, slots=True)
class Movement:
    """Counts the bytes that devices lack of the stages that they get."""

    problem: Problem
    held: Holdings
    _counted: dict[tuple[HeldWeights | None, HeldWeights], int] = field(
        default_factory=dict, compare=False, repr=False
    )

    def of_stage(self, stage: PlacedStage) -> int:
        """Return the bytes that the devices of a stage must fetch."""
        shards = self.shards(stage.kind, stage.layers)
        return sum(
            self._of_device(stage.host, device, shard)
            for device, shard in zip(stage.devices, shards, strict=True)
        )

    def total(self, stages: Iterable[PlacedStage]) -> int:
        """Return the bytes that a placement moves."""
        return sum(map(self.of_stage, stages))

    def by_host(self, stages: Iterable[PlacedStage]) -> dict[str, int]:
        """Return the bytes that each host fetches, for the hosts that fetch any."""
        moved: dict[str, int] = defaultdict(int)
        for stage in stages:
            moved[stage.host] += self.of_stage(stage)
        return {host: count for host, count in sorted(moved.items()) if count}

    def fetched(self, stages: Iterable[PlacedStage]) -> tuple[Range, ...]:
        """Return the layers of which some device of these stages lacks a part, as ranges."""
        layers: set[int] = set()
        for stage in stages:
            shards = self.shards(stage.kind, stage.layers)
            for device, shard in zip(stage.devices, shards, strict=True):
                layers |= fetched_layers(self.held.get((stage.host, device)), shard)
        ends = sorted(layers ^ {layer + 1 for layer in layers})
        return tuple(zip(ends[::2], ends[1::2], strict=True))

    def shards(self, kind: int, layers: Range) -> tuple[HeldWeights, ...]:
        """Return what each device of a stage of this kind holds."""
        sizes = self.problem.kinds[kind].sizes
        num_heads = sum(size.kv_heads for size in sizes)
        own = [HeldWeights(layers, *cut, num_heads) for cut in _cuts(sizes)]
        sharing = self.problem.sharing_of(kind, layers)
        return tuple(own) if sharing.is_tensor else HeldWeights.shared(own, sharing.sp_degree)

    def seated(self, stages: Sequence[PlacedStage], host: str) -> list[PlacedStage]:
        """Put the stages of a host (or of one like it) on `host`, with the fewest moved bytes.

        This is an assignment of shards to devices, which is solved exactly.
        """
        seats = [
            (position, name, device, shard)
            for position, stage in enumerate(stages)
            for name, device, shard in zip(
                self.problem.kinds[stage.kind].group,
                stage.devices,
                self.shards(stage.kind, stage.layers),
                strict=True,
            )
        ]
        types = self.problem.spec.cluster.host_by_name[host].devices
        cost = np.full((len(seats), len(types)), FORBIDDEN)
        for row, (_, name, old, shard) in enumerate(seats):
            for device, other in enumerate(types):
                if other == name and self._may_sit(host, old, device):
                    cost[row, device] = self._of_device(host, device, shard)
        rows, columns = linear_sum_assignment(cost)
        devices: list[list[int]] = [[] for _ in stages]
        for row, device in zip(rows.tolist(), columns.tolist(), strict=True):
            devices[seats[row][0]].append(device)
        return [
            replace(stage, host=host, devices=tuple(chosen))
            for stage, chosen in zip(stages, devices, strict=True)
        ]

    def keeps_any(self, stage: PlacedStage) -> bool:
        """Say whether a device of the stage may already hold some of its weights.

        If none does, the order of the devices makes no difference.
        """
        first, end = stage.layers
        held = (self.held.get((stage.host, device)) for device in stage.devices)
        ranges = [there.layers for there in held if there is not None]
        # With tied embeddings, the first and the last stage hold the same table.
        is_tied = self.problem.spec.model.tied_embeddings
        return any(is_tied or (low < end and first < high) for low, high in ranges)

    def seated_within(self, stage: PlacedStage) -> tuple[int, ...]:
        """Return a stage's devices in the order that moves the fewest bytes."""
        group = self.problem.kinds[stage.kind].group
        shards = self.shards(stage.kind, stage.layers)
        types = self.problem.spec.cluster.host_by_name[stage.host].devices
        cost = np.full((len(group), len(group)), FORBIDDEN)
        for row, (name, shard) in enumerate(zip(group, shards, strict=True)):
            for column, device in enumerate(stage.devices):
                if types[device] == name:
                    cost[row, column] = self._of_device(stage.host, device, shard)
        _, columns = linear_sum_assignment(cost)
        return tuple(stage.devices[column] for column in columns.tolist())

    def _may_sit(self, host: str, old: int, new: int) -> bool:
        """Say whether a shard may go from device `old` to `new`.

        It may not leave a pinned group or enter one. Two hosts of one class have the same pins.
        """
        cluster = self.problem.spec.cluster
        if cluster.is_excluded(host, new):
            return False
        tied = (set(pin.devices) for pin in cluster.group_pins if pin.host == host)
        return all((old in devices) == (new in devices) for devices in tied)

    def _of_device(self, host: str, device: int, shard: HeldWeights) -> int:
        pair = self.held.get((host, device)), shard
        if pair not in self._counted:
            self._counted[pair] = moved_bytes(self.problem.spec.model, *pair)
        return self._counted[pair]


@lru_cache(maxsize=4096)
def _cuts(sizes: tuple[ShardSizes, ...]) -> tuple[tuple[Range, Range, Range], ...]:
    """Return each device's intervals of KV heads, FFN channels and vocabulary rows."""
    kv_heads = intervals([size.kv_heads for size in sizes])
    ffn = intervals([size.ffn for size in sizes])
    return tuple(zip(kv_heads, ffn, intervals([size.vocab for size in sizes]), strict=True))
