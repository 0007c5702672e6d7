"""Uniform placements: every TP x PP x DP of one type of device, and of all types in one grid.

These are what serving engines run without a planner: each pipeline has the same number of stages,
and each stage the same number of devices and, but for one, of layers. They are candidates for
objectives that prefer few hops to a large flow.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from hexplan.field_types import Range
from hexplan_solver.baselines.swarm import even_ranges
from hexplan_solver.flow.apart import Pipeline, evaluated_apart
from hexplan_solver.flow.evaluate import Evaluated
from hexplan_solver.problem.problem import Problem, StageKind
from hexplan_solver.start.team import Team


@dataclass(frozen=True, slots=True)
class Uniform:
    """A grid of equal pipelines, with its flow."""

    device_types: tuple[str, ...]
    """Types that it is made of, sorted."""
    degree: int
    """Devices of each stage (TP)."""
    num_stages: int
    """Stages of each pipeline (PP)."""
    num_pipelines: int
    """As many as the devices allow (DP)."""
    pipelines: tuple[Pipeline, ...]
    """The stages of each pipeline, in the order of their layers."""
    evaluated: Evaluated

    @property
    def name(self) -> str:
        """Its types and its grid, such as `H100-SXM: TP 4 x PP 1 x DP 2`."""
        grid = f"TP {self.degree} x PP {self.num_stages} x DP {self.num_pipelines}"
        return f"{' + '.join(self.device_types)}: {grid}"

    @property
    def devices(self) -> frozenset[tuple[str, int]]:
        """Host and index of every device that it uses."""
        stages = (stage for pipeline in self.pipelines for stage in pipeline)
        return frozenset((stage.host, device) for stage in stages for device in stage.devices)

    def first(self, problem: Problem, num_pipelines: int) -> Uniform:
        """Return the grid of the first pipelines, those of the fastest devices."""
        kept = self.pipelines[:num_pipelines]
        return replace(
            self,
            num_pipelines=len(kept),
            pipelines=kept,
            evaluated=evaluated_apart(problem, kept),
        )


def uniform_placements(problem: Problem) -> Iterator[Uniform]:
    """Yield every grid that carries a flow, those with the fewest stages a pipeline first.

    Each grid has as many pipelines as its devices allow: fewer of them never pass more. Grids of
    one type come before the grids of all types, whose pipelines may mix types. Where the layers of
    a host are pinned, there are none.
    """
    if problem.is_pinned:
        return
    types = sorted({name for host in problem.spec.cluster.hosts for name in host.devices})
    choices = [(name,) for name in types] + ([tuple(types)] if len(types) > 1 else [])
    by_grid = {
        (choice, degree): teams
        for choice in choices
        for degree in _degrees(problem, choice)
        if (teams := list(_teams(problem, choice, degree)))
    }
    longest = max(map(len, by_grid.values()), default=0)
    for num_stages in range(1, min(problem.num_layers, longest) + 1):
        ranges = even_ranges(problem.num_layers, num_stages)
        for (choice, degree), teams in by_grid.items():
            pipelines = _pipelines(teams, ranges)
            found = evaluated_apart(problem, pipelines)
            if found.value:
                yield Uniform(choice, degree, num_stages, len(pipelines), pipelines, found)


def side_by_side(problem: Problem, grids: Sequence[Uniform]) -> Evaluated:
    """Evaluate grids without common devices as one placement, whose pipelines share the network."""
    return evaluated_apart(problem, [pipeline for grid in grids for pipeline in grid.pipelines])


def _degrees(problem: Problem, types: Sequence[str]) -> list[int]:
    return sorted({len(k.group) for k in problem.kinds if _is_made_of(k, types)})


def _is_made_of(kind: StageKind, types: Sequence[str]) -> bool:
    """Say whether a stage's devices are alike, and of one of these types."""
    return len(set(kind.group)) == 1 and kind.group[0] in types


def _teams(problem: Problem, types: Sequence[str], degree: int) -> Iterator[Team]:
    """Yield the teams of one degree: those that the user tied, then those of free devices."""
    cluster = problem.spec.cluster
    classes = {name: i for i, c in enumerate(problem.classes) for name in c.hosts}
    kinds = {
        (k.host_class, k.group[0]): k
        for k in problem.kinds
        if len(k.group) == degree and _is_made_of(k, types)
    }
    for host in cluster.hosts:
        tied = [pin.devices for pin in cluster.group_pins if pin.host == host.name]
        taken = {device for devices in tied for device in devices}
        for name in types:
            kind = kinds.get((classes.get(host.name, -1), name))
            if kind is None:
                continue
            for devices in tied:
                if [host.devices[d] for d in devices] == [name] * degree:
                    yield Team(host.name, tuple(sorted(devices)), kind)
            free = [
                d
                for d, other in enumerate(host.devices)
                if other == name and d not in taken and not cluster.is_excluded(host.name, d)
            ]
            for first in range(0, len(free) - degree + 1, degree):
                yield Team(host.name, tuple(free[first : first + degree]), kind)


def _pipelines(teams: Sequence[Team], ranges: Sequence[Range]) -> tuple[Pipeline, ...]:
    """Build as many whole pipelines as there are teams for.

    Teams are sorted by speed, so that those of one pipeline are nearly alike; equal ones stay in
    the spec's order, so that neighbours serve together.
    """
    able = [team for team in teams if all(team.stage(layers).rate for layers in ranges)]
    able.sort(key=lambda team: -team.stage(ranges[0]).rate)
    size = len(ranges)
    return tuple(
        tuple(team.stage(layers) for team, layers in zip(able[first:], ranges, strict=False))
        for first in range(0, len(able) - size + 1, size)
    )
