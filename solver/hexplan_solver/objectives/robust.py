"""Robust choices: by the flow that is passed in all but 5 % of the worlds that speeds allow."""

from __future__ import annotations

from hexplan.constants import MICRO
from hexplan.cost import StageShape, kv_room_tokens, stage_speed
from hexplan.results.robustness import Part, Speed, robustness
from hexplan_solver.flow.evaluate import Evaluated
from hexplan_solver.flow.routes import ArcEnds


def least_share(found: Evaluated) -> float:
    """Return the share of its flow that a placement passes in all but 5 % of the worlds.

    Its routes keep their shares (`hexplan.results.robustness`). Only worlds in which speeds are
    lower count here, so network cards and shared lines can be left out.
    """
    loads: dict[int, int] = {}
    edges: dict[ArcEnds, int] = {}
    for path in found.flow.paths:
        for stage in path.stages:
            loads[stage] = loads.get(stage, 0) + path.amount
        for ends in path.arcs:
            edges[ends] = edges.get(ends, 0) + path.amount
    parts = [
        Part(found.network.stages[j].rate / load, _speed(found, j)) for j, load in loads.items()
    ]
    for ends, load in edges.items():
        arc = found.network.arc(*ends)
        if arc is not None:
            parts.append(Part(arc.capacity / load))
    return min(1.0, robustness(parts).p5)


def least_flow(found: Evaluated) -> float:
    """Return the flow that a placement passes in all but 5 % of the worlds, in tokens/s."""
    return found.value / MICRO * least_share(found)


def _speed(found: Evaluated, position: int) -> Speed:
    problem, placed = found.problem, found.network.stages[position]
    host = problem.spec.cluster.host_by_name[placed.host]
    sharing = problem.sharing_of(placed.kind, placed.layers)
    shape = StageShape(placed.layers, problem.group_of(placed.kind), host.interconnect, sharing)
    speed = stage_speed(problem.spec, shape, kv_room_tokens(problem.spec, shape))
    types = sorted({host.devices[device] for device in placed.devices})
    return Speed(tuple(types), float(speed.error))
