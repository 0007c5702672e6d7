"""Where Helix's MILP starts: the best heuristic placement, with the flow that kept links carry."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

from hexplan.constants import MICRO
from hexplan.errors import LimitReached
from hexplan.field_types import Range
from hexplan_solver.baselines.helix.links import HelixLink
from hexplan_solver.baselines.machines import BaselineMachine
from hexplan_solver.baselines.petals import place_petals
from hexplan_solver.baselines.result import PlacementMethod
from hexplan_solver.baselines.separate import place_separate
from hexplan_solver.baselines.swarm import place_swarm
from hexplan_solver.flow.max_flow import max_flow
from hexplan_solver.flow.network import OUTSIDE, build_network
from hexplan_solver.placement.placement import PlacedStage
from hexplan_solver.problem.problem import Problem
from hexplan_solver.run import Run

HEURISTICS: tuple[PlacementMethod, ...] = (place_petals, place_swarm, place_separate)


@dataclass(frozen=True, slots=True)
class HelixStart:
    """A placement of every machine, and a flow on it."""

    ranges: tuple[Range, ...]
    """By position; a machine that the heuristic leaves out holds the first layer, unused."""
    flow: dict[tuple[int, int], float]
    """Tokens/s by (source, target)."""

    @property
    def value(self) -> float:
        """Tokens/s from entry."""
        return sum(flow for (source, _), flow in self.flow.items() if source == OUTSIDE)


def helix_start(
    run: Run, problem: Problem, machines: Sequence[BaselineMachine], links: Sequence[HelixLink]
) -> HelixStart:
    """Return the start of the largest flow over the links of the MILP."""
    best = HelixStart(((0, 1),) * len(machines), {})
    for method in HEURISTICS:
        try:
            result = method(run, problem)
        except LimitReached:
            continue
        found = _start_of(problem, machines, links, result.placement)
        best = max(best, found, key=lambda start: start.value)
    return best


def _start_of(
    problem: Problem,
    machines: Sequence[BaselineMachine],
    links: Sequence[HelixLink],
    stages: Sequence[PlacedStage],
) -> HelixStart:
    """Return the start from a heuristic's stages.

    Each stage runs at its machine's speed in the MILP. Of its largest flow, the paths over pruned
    links are left out.
    """
    by_devices = {(m.host, m.devices): m for m in machines}
    owner = {stage: by_devices[stage.host, stage.devices] for stage in stages}
    ranges = [(0, 1)] * len(machines)
    for stage, machine in owner.items():
        ranges[machine.position] = stage.layers
    as_counted = {
        replace(stage, rate=machine.speeds[stage.layers[1] - stage.layers[0]]): machine
        for stage, machine in owner.items()
    }
    network = build_network(problem.spec, list(as_counted))
    place = [as_counted[stage].position for stage in network.stages] + [OUTSIDE]
    kept = {(link.source, link.target) for link in links}
    flow: dict[tuple[int, int], float] = defaultdict(float)
    for path in max_flow(network).paths:
        steps = [(place[source], place[target]) for source, target in path.arcs]
        if kept.issuperset(steps):
            for step in steps:
                flow[step] += path.amount / MICRO
    return HelixStart(tuple(ranges), dict(flow))
