"""The evaluator: what a placement passes, exactly, and the prices that prove it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hexplan_solver.flow.max_flow import max_flow
from hexplan_solver.flow.network import Network, build_network
from hexplan_solver.flow.routes import Flow
from hexplan_solver.placement.placement import PlacedStage, Placement
from hexplan_solver.problem.problem import Problem


@dataclass(frozen=True, slots=True)
class Evaluated:
    """A placement with one of its flows: the largest, unless an objective chose another."""

    problem: Problem
    network: Network
    """All that bounds the flow."""
    flow: Flow
    """Its value, its routes, and the prices of its cut."""

    @property
    def placement(self) -> Placement:
        """Its stages, sorted."""
        return Placement(self.network.stages)

    @property
    def value(self) -> int:
        """The flow in 1e-6 tokens/s."""
        return self.flow.value

    @property
    def needed(self) -> Placement:
        """The stages that some route uses, and those of pinned hosts."""
        used = {stage for path in self.flow.paths for stage in path.stages}
        pinned = {pin.host for pin in self.problem.spec.cluster.layer_pins}
        stages = enumerate(self.network.stages)
        return Placement.of(s for i, s in stages if i in used or s.host in pinned)


def evaluate(problem: Problem, stages: Sequence[PlacedStage]) -> Evaluated:
    """Return a placement with its largest flow, which is 0 where there are no stages."""
    network = build_network(problem.spec, stages)
    return Evaluated(problem, network, max_flow(network) if stages else Flow(0, (), ()))


def evaluate_used(problem: Problem, stages: Sequence[PlacedStage]) -> Evaluated:
    """Evaluate a placement, and drop the stages without flow, unless their host is pinned."""
    found = evaluate(problem, stages)
    needed = found.needed
    return found if len(needed) == len(found.network.stages) else evaluate(problem, needed)


def better_of(one: Evaluated, other: Evaluated) -> Evaluated:
    """Return the one of larger flow, the first among equals."""
    return other if other.value > one.value else one
