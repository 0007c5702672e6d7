"""Shallow placements: pipelines of as few stages as the hosts allow."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from hexplan_solver.placement.naming import group_devices
from hexplan_solver.placement.placement import PlacedStage, Placement
from hexplan_solver.problem.problem import Partition, Problem
from hexplan_solver.start.team import Team


def shallow_placements(problem: Problem) -> Iterator[Placement]:
    """Yield the pipeline of fewest stages and as many like it as fit, on all hosts and each site.

    Every host forms the stage of most layers that it can. Stages of most layers are taken first,
    and each holds layers in proportion to the most that it can. Where the layers of a host are
    pinned, there are none.
    """
    if problem.is_pinned:
        return
    teams = _teams(problem)
    site_of = {host.name: host.site for host in problem.spec.cluster.hosts}
    sites = sorted(set(site_of.values()))
    within = [[team for team in teams if site_of[team.host] == site] for site in sites]
    for chosen in [teams] if len(sites) == 1 else [teams, *within]:
        pipelines = list(_pipelines(chosen, problem.num_layers))
        if pipelines:
            yield Placement.of(pipelines[0])
        if len(pipelines) > 1:
            yield Placement.of(stage for pipeline in pipelines for stage in pipeline)


def _teams(problem: Problem) -> list[Team]:
    """List the teams of every host, those of most layers first."""
    teams = [
        Team(host, devices, problem.kinds[kind])
        for host_class in problem.classes
        for host in host_class.hosts
        for kind, devices in group_devices(problem, host, _widest(problem, host_class.partitions))
    ]
    return sorted(teams, key=lambda team: (-team.max_layers, -team.kind.rates.fastest))


def _widest(problem: Problem, partitions: Sequence[Partition]) -> Partition:
    """Return the partition with the stage of most layers; of equals, the one that holds most."""

    def merit(partition: Partition) -> tuple[int, int]:
        most = max((problem.kinds[kind].rates.max_layers for kind, _ in partition), default=0)
        return most, problem.max_layers(partition)

    return max(partitions, key=merit)


def _pipelines(teams: Sequence[Team], num_layers: int) -> Iterator[list[PlacedStage]]:
    """Fill one pipeline after the other, and leave out what is too little for a last one."""
    pipeline: list[Team] = []
    for team in teams:
        pipeline.append(team)
        if sum(member.max_layers for member in pipeline) >= num_layers:
            stages = _stages(pipeline, num_layers)
            if all(stage.rate for stage in stages):
                yield stages
                pipeline = []


def _stages(pipeline: Sequence[Team], num_layers: int) -> list[PlacedStage]:
    """Cut the layers in proportion to the most that each team holds."""
    whole = sum(team.max_layers for team in pipeline)
    stages, held, end = [], 0, 0
    for team in pipeline:
        held += team.max_layers
        first, end = end, num_layers * held // whole
        stages.append(team.stage((first, end)))
    return stages
