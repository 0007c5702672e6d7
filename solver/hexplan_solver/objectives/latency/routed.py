"""A placement with a split of the rate over its routes, and the times of its requests."""

from __future__ import annotations

from dataclasses import dataclass

from hexplan_solver.flow.evaluate import Evaluated
from hexplan_solver.flow.max_flow import max_flow
from hexplan_solver.flow.network import build_network
from hexplan_solver.flow.routes import Flow
from hexplan_solver.objectives.latency.split import Times, split_rate, times_of
from hexplan_solver.objectives.latency.stations import station_of


@dataclass(frozen=True, slots=True)
class Routed:
    """A placement with a split of the rate, and the times of its requests."""

    evaluated: Evaluated
    times: Times
    origins: tuple[str, ...]
    """Where the step times of its stages come from."""


def routed(found: Evaluated, needed: int) -> Routed | None:
    """Split a rate over a placement, and leave out the stages that the split does not use.

    It is split once more without them, since fewer connections share the network cards then.

    Parameters
    ----------
    needed
        The flow to carry, in 1e-6 tokens/s; None is returned if the placement does not carry it.
    """
    if found.value < needed:
        return None
    problem, stages = found.problem, found.placement
    for _ in range(2):
        network = build_network(problem.spec, stages)
        timed = [station_of(problem, stage) for stage in network.stages]
        stations = [t.station for t in timed]
        paths = split_rate(problem, network, stations, needed)
        value = sum(path.amount for path in paths)
        if value < needed:
            return None
        stages = Evaluated(problem, network, Flow(value, paths, ())).needed
        if len(stages) == len(network.stages):
            break
    flow = Flow(value, paths, max_flow(network).cut)
    times = times_of(problem, network, stations, paths)
    origins = tuple(sorted({t.origin for t in timed}))
    return Routed(Evaluated(problem, network, flow), times, origins)


def faster_of(one: Routed | None, other: Routed | None) -> Routed | None:
    """Return the one of less mean time, the first among equals."""
    if one is None or other is None:
        return one or other
    return other if other.times.total_s < one.times.total_s else one
