"""The rate of a group of devices as a stage, by the layers that it holds."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

from hexplan.cluster import Cluster
from hexplan.constants import MICRO, TOKEN_ID_BYTES
from hexplan.cost import (
    TENSOR,
    DeviceShard,
    Sharing,
    StageShape,
    allowed_sharings,
    kv_room_tokens,
)
from hexplan.cost.host_room import planned_speed, sharing_with_room
from hexplan.cost.interleaving import find_interleave, slowdown_of
from hexplan.cost.offloading import first_on_host
from hexplan.field_types import Range
from hexplan.host import Host
from hexplan.spec import Spec


@dataclass(frozen=True)
class Rates:
    """Rate of one kind of stage by the layers that it holds, in 1e-6 tokens/s; 0 if it cannot.

    Apart from the number of layers only the ends of the model matter, as they bring the embedding
    and the output head: `by_layers[is_first][is_last][k]` is the rate with k layers.
    """

    num_layers: int
    by_layers: tuple[tuple[tuple[int, ...], ...], ...]
    sharings: tuple[tuple[tuple[Sharing, ...], ...], ...] = ()
    """How its devices share the work at that rate; empty if always plain tensor parallelism."""

    def of(self, first: int, end: int) -> int:
        """Return the rate of a stage that holds `[first, end)`."""
        return self.by_layers[first == 0][end == self.num_layers][end - first]

    def sharing_of(self, first: int, end: int) -> Sharing:
        """Return how the devices of a stage that holds `[first, end)` share its work."""
        if not self.sharings:
            return TENSOR
        found = self.sharings[first == 0][end == self.num_layers][end - first]
        if found.kv_offload is None:
            return found
        # The table is of stages that begin where the first such stage may.
        update = {"from_layer": first_on_host((first, end))}
        return replace(found, kv_offload=found.kv_offload.model_copy(update=update))

    @cached_property
    def fastest(self) -> int:
        """The highest rate of all."""
        return max(rate for row in self.by_layers for ends in row for rate in ends)

    @cached_property
    def max_layers(self) -> int:
        """The most layers that any such stage can hold."""
        return max(
            k for row in self.by_layers for ends in row for k, r in enumerate(ends) if r or not k
        )


def rates_of(spec: Spec, host: Host, group: tuple[DeviceShard, ...]) -> Rates:
    """Tabulate the rate of a group of a host's devices, with the fastest sharing allowed."""
    total = spec.model.layers

    def row(is_first: bool, is_last: bool) -> list[tuple[int, Sharing]]:
        best = [(0, TENSOR)]
        for k in range(1, total + 1):
            first = 0 if is_first else total - k if is_last else 1
            are_ends = (first + k == total) == is_last and (first == 0) == is_first
            is_possible = are_ends and first + k <= total
            layers = (first, first + k)
            best.append(_best(spec, host, group, layers) if is_possible else (0, TENSOR))
        return best

    table = [[row(a, b) for b in (False, True)] for a in (False, True)]
    rates = tuple(tuple(tuple(rate for rate, _ in row) for row in rows) for rows in table)
    if all(sharing == TENSOR for rows in table for row in rows for _, sharing in row):
        return Rates(total, rates)
    sharings = tuple(tuple(tuple(sharing for _, sharing in row) for row in rows) for rows in table)
    return Rates(total, rates, sharings)


def _best(
    spec: Spec, host: Host, group: tuple[DeviceShard, ...], layers: Range
) -> tuple[int, Sharing]:
    """Return the largest rate over the sharings that the spec allows.

    Ties go to the first, but to `shift` before `sp`: its small steps are faster.
    Where stages are asked to interleave, those that gain by it do so. Their rate is that of plain
    steps, so that flows and bounds are the same; simulations count with the lanes.
    """
    shape = StageShape(layers, group, host.interconnect)
    allowed = (
        sharing_with_room(spec, host, replace(shape, sharing=sharing))
        for sharing in allowed_sharings(spec, shape)
    )
    rated = [
        (as_counted(spec.cluster, capacity_of(spec, host, group, layers, sharing)), sharing)
        for sharing in allowed
    ]
    rate, sharing = max(rated, key=lambda pair: pair[0], default=(0, TENSOR))
    if sharing.parallel == "sp":
        tied = (other for its_rate, other in rated if its_rate == rate)
        shifting = (other for other in tied if other.parallel == "shift")
        sharing = next((s for s in shifting if s.sp_degree == sharing.sp_degree), sharing)
    is_plain = sharing.is_tensor and sharing.kv_offload is None
    if rate and is_plain and spec.cluster.techniques.interleave == "on":
        lanes = find_interleave(spec.model, shape, slowdown_of(spec.cluster, shape))
        sharing = replace(sharing, interleave=lanes)
    return rate, sharing


def capacity_of(
    spec: Spec,
    host: Host,
    group: tuple[DeviceShard, ...],
    layers: Range,
    sharing: Sharing,
) -> int:
    """Return the rate of a stage, or 0 if its KV cache is too small for the longest request."""
    shape = StageShape(layers, group, host.interconnect, sharing)
    kv_tokens, how = kv_room_tokens(spec, shape), sharing.kv_offload
    if (kv_tokens if how is None else how.kv_tokens) < spec.workload.max_tokens:
        return 0
    cost = planned_speed(spec, shape, kv_tokens)
    return int(cost.micro_tokens_per_s * host.presence)


def as_counted(cluster: Cluster, micro_tokens_per_s: int) -> int:
    """Return a stage's rate as the search counts it.

    A rate above what the coordinator's card passes counts as just above it: no flow can use more,
    and sums over all stages stay within 64 bits.
    """
    return min(micro_tokens_per_s, coordinator_rate(cluster) + 1)


def coordinator_rate(cluster: Cluster) -> int:
    """Return what the coordinator's network card passes, in 1e-6 tokens/s: a token id each way."""
    coordinator = cluster.coordinator
    card = min(coordinator.nic_in_bytes_per_s, coordinator.nic_out_bytes_per_s)
    return card * MICRO // TOKEN_ID_BYTES
