"""The evaluator: what a placement passes, exactly, and the prices that prove it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hexplan.plan import ENTRY, EXIT, CutTerm
from hexplan_solver.flow.max_flow import max_flow
from hexplan_solver.flow.network import Network, build_network
from hexplan_solver.flow.params import FLOW_PARAMS, FlowParams
from hexplan_solver.flow.routes import Flow, Path
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


def evaluate_used(
    problem: Problem, stages: Sequence[PlacedStage], params: FlowParams = FLOW_PARAMS
) -> Evaluated:
    """Evaluate a placement, and drop the stages without flow, unless their host is pinned."""
    found = evaluate(problem, stages)
    needed = found.needed
    if len(needed) == len(found.network.stages):
        return found
    if len(found.network.stages) >= params.large_stages:
        return _with_stages(found, needed)
    return evaluate(problem, needed)


def _with_stages(found: Evaluated, kept: Placement) -> Evaluated:
    """Return a placement with some of its stages, among them all that its flow uses.

    The flow stays as it is. Its prices hold for the remaining routes, and pay for no other flow.
    """
    network = build_network(found.problem.spec, kept)
    position = {stage: i for i, stage in enumerate(network.stages)}
    new = {
        f"s{i}": f"s{position[stage]}"
        for i, stage in enumerate(found.network.stages)
        if stage in position
    }
    numbers = [position.get(stage, -1) for stage in found.network.stages]
    paths = tuple(
        Path(tuple(numbers[i] for i in path.stages), path.amount) for path in found.flow.paths
    )
    cut: list[CutTerm] = []
    for term in found.flow.cut:
        kind, _, ends = term.constraint.partition(":")
        names = ends.split(">")
        if kind == "stage" or kind == "link":
            if any(_is_stage(name) and name not in new for name in names):
                continue
            names = [new.get(name, name) for name in names]
        named = f"{kind}:{'>'.join(names)}"
        cut.append(term.model_copy(update={"constraint": named}))
    return Evaluated(found.problem, network, Flow(found.value, paths, tuple(cut)))


def _is_stage(name: str) -> bool:
    return name not in (ENTRY, EXIT)


def better_of(one: Evaluated, other: Evaluated) -> Evaluated:
    """Return the one of larger flow, the first among equals."""
    return other if other.value > one.value else one
