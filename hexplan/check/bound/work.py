"""The work bound and the coordinator's (docs/formulation.md 8), in whole 1e-6 tokens/s."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from hexplan.check.bound.supply import ShapeSupply
from hexplan.cluster import Cluster
from hexplan.constants import MICRO, TOKEN_ID_BYTES


def coordinator_bound(cluster: Cluster) -> int:
    """Return what the coordinator's network card passes: a token id each way."""
    ends = cluster.coordinator
    return min(ends.nic_in_bytes_per_s, ends.nic_out_bytes_per_s) * MICRO // TOKEN_ID_BYTES


def work_bound(supply: Sequence[ShapeSupply], num_layers: int) -> int:
    """Return the largest flow for which the hosts can do the work of all layers."""

    def work(flow: int) -> int:
        return sum(len(each.hosts) * each.work(flow) for each in supply)

    return largest_flow(work, num_layers)


def largest_flow(work: Callable[[int], int], num_layers: int) -> int:
    """Return the largest flow F with `work(F) >= L F`, which holds for all smaller flows, too."""
    low, high = 0, 1
    while work(high) >= num_layers * high:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        is_possible = work(middle) >= num_layers * middle
        low, high = (middle, high) if is_possible else (low, middle)
    return low
