"""Why a device can form no stage, whatever the placement: its dtype, its memory or its links."""

from __future__ import annotations

from collections.abc import Iterator

from hexplan.cluster import COORDINATOR, Cluster
from hexplan.cost import DeviceShard, StageShape
from hexplan.cost.memory import memory_needs
from hexplan.spec import Spec
from hexplan.units import GIB
from hexplan_solver.problem.problem import Problem
from hexplan_solver.problem.shards import shard_sizes

NO_STAGE = "no stage can be formed of it: its host is pinned, or its speed was not measured"


class Fitness:
    """Tells which devices of a problem can serve in no plan, as far as that is cheap to know."""

    def __init__(self, problem: Problem) -> None:
        self._spec = problem.spec
        self._home = {host: i for i, c in enumerate(problem.classes) for host in c.hosts}
        self._serving = {(kind.host_class, name) for kind in problem.kinds for name in kind.group}

    def why_unfit(self, host: str, device: int) -> str | None:
        """Return why a device, by its index on its host, can serve in no plan; None if it might."""
        spec = self._spec
        name = spec.cluster.host_by_name[host].devices[device]
        dtype = spec.model.dtype
        if not spec.cluster.device_type_by_name[name].runs(dtype):
            return f"it does not compute in {dtype}; with `dtype: float16` it could serve"
        if (self._home.get(host), name) not in self._serving:
            return _too_small(spec, name) or NO_STAGE
        return _unlinked(spec.cluster, host)


def _too_small(spec: Spec, name: str) -> str | None:
    """Say by how much a device is too small for one layer and one longest request, if it is."""
    device = spec.cluster.device_type_by_name[name]
    sizes = shard_sizes(spec.model, [device])
    if sizes is None:
        return None
    layers = (1, 2) if spec.model.layers > 2 else (0, 1)
    shape = StageShape(layers, (DeviceShard(device, sizes[0]),))
    (need,) = memory_needs(spec, shape)
    needed = need.fixed_bytes + spec.workload.max_tokens * need.kv_token_bytes
    if needed <= need.budget_bytes:
        return None
    return (
        f"one layer with room for one longest request takes {needed / GIB:.1f} GiB, and the plan"
        f" may fill {need.budget_bytes / GIB:.1f} GiB of it"
    )


def _unlinked(cluster: Cluster, host: str) -> str | None:
    """Say in which direction no rule links a host with any other, if there is such a direction."""
    if not any(cluster.link(end, host) for end in _other_ends(cluster, host)):
        return f"no rule of `links` leads to {host}"
    if not any(cluster.link(host, end) for end in _other_ends(cluster, host)):
        return f"no rule of `links` leads away from {host}"
    return None


def _other_ends(cluster: Cluster, host: str) -> Iterator[str]:
    yield COORDINATOR
    yield from (other.name for other in cluster.hosts if other.name != host)
