"""What a placement carries: its network and its largest flow."""

from __future__ import annotations

from collections.abc import Sequence

from hexplan_solver.flow.flow import max_flow
from hexplan_solver.flow.network import Network, PlacedStage, build_network
from hexplan_solver.flow.routes import Flow
from hexplan_solver.problem.problem import Problem


def carried(problem: Problem, stages: Sequence[PlacedStage]) -> tuple[Network, Flow]:
    """Compute the largest flow of a placement; without stages there is none."""
    network = build_network(problem.spec, stages)
    return network, max_flow(network) if stages else Flow(0, (), ())


def used_part(problem: Problem, stages: Sequence[PlacedStage]) -> tuple[Network, Flow]:
    """Compute the largest flow, and leave out the stages without any, unless they are pinned."""
    network, flow = carried(problem, stages)
    used = {stage for path in flow.paths for stage in path.stages}
    pinned = {pin.host for pin in problem.spec.cluster.layer_pins}
    kept = [s for i, s in enumerate(network.stages) if i in used or s.host in pinned]
    return (network, flow) if len(kept) == len(network.stages) else carried(problem, kept)
