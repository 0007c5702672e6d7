"""Shallowness: what decides between plans that the objective takes for equal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from hexplan.cost import StageShape
from hexplan.cost.host_room import room_tokens
from hexplan_solver.flow.evaluate import Evaluated
from hexplan_solver.placement.placement import PlacedStage
from hexplan_solver.problem.problem import Problem

HOP_DIGITS = 6
"""Mean hops are rounded to this many decimals, so that equal routes compare as equal."""
FEWER_HOPS = 0.05
"""Hops count as fewer if they are by this share: less is not worth any of the objective."""
Found = TypeVar("Found")


@dataclass(frozen=True, slots=True, order=True)
class Shallowness:
    """How deep a placement with its flow is: the shallower of two is the smaller one.

    Fewer hops come first, as each adds to every token's time; then fewer hosts, as each may fail;
    then more room for the KV cache.
    """

    hops: float
    """Stages that a mean request visits."""
    num_hosts: int
    """Hosts of the stages that some route uses."""
    lacking_kv: int
    """The room for the KV cache with its sign changed, in tokens times layers."""

    @staticmethod
    def of(found: Evaluated) -> Shallowness:
        """Measure the stages that the flow uses; the flow must not be 0."""
        paths, stages = found.flow.paths, found.network.stages
        whole = sum(path.amount for path in paths)
        hops = sum(path.amount * len(path.stages) for path in paths) / whole
        used = [stages[position] for position in {s for path in paths for s in path.stages}]
        # Large clusters have many stages of few kinds.
        alike = Counter((stage.kind, stage.layers) for stage in used)
        first = {(stage.kind, stage.layers): stage for stage in used}
        room = sum(_kv_room(found.problem, first[key]) * count for key, count in alike.items())
        return Shallowness(round(hops, HOP_DIGITS), len({stage.host for stage in used}), -room)


def shallowest(equal: Sequence[Found], depth_of: Callable[[Found], Shallowness]) -> list[Found]:
    """Keep those of clearly fewest hops, and of these the ones on fewest hosts.

    Between what is left the objective decides: where neither hops nor hosts are saved, nothing is
    gained by a plan that is a little worse.
    """
    depths = [depth_of(one) for one in equal]
    most = min(depth.hops for depth in depths) * (1 + FEWER_HOPS)
    fewest = min(depth.num_hosts for depth in depths if depth.hops <= most)
    return [
        one
        for one, depth in zip(equal, depths, strict=True)
        if depth.hops <= most and depth.num_hosts == fewest
    ]


def _kv_room(problem: Problem, stage: PlacedStage) -> int:
    """Return the KV room of a stage, in tokens times layers."""
    sharing = problem.sharing_of(stage.kind, stage.layers)
    interconnect = problem.spec.cluster.host_by_name[stage.host].interconnect
    shape = StageShape(stage.layers, problem.group_of(stage.kind), interconnect, sharing)
    return room_tokens(problem.spec, shape) * (stage.layers[1] - stage.layers[0])
