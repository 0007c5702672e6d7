"""What a launch would start where, without starting it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from hexplan.plan import Plan
from hexplan_runtime.agent.ranks import RANK, VARIABLES
from hexplan_runtime.launch.agents import AGENT
from hexplan_runtime.launch.places import HostPlace, Hosts, host_places
from hexplan_runtime.processes import Here
from hexplan_runtime.stage.topology import launch_edges, plain_edges


@dataclass(frozen=True, slots=True)
class PlannedRank:
    """A rank that would run."""

    stage: str
    rank: int
    device: int


@dataclass(frozen=True, slots=True)
class PlannedEdge:
    """An edge between machines that would be open."""

    source: str
    target: str
    port: int | None
    """Where its listener listens; a free port if None."""
    trusted_site: str | None = None
    """The site inside of which it is plain; None if it is encrypted."""


@dataclass(frozen=True, slots=True)
class PlannedStart:
    """What would be started for one host."""

    host: str | None
    """None is this machine, which runs all hosts of the plan."""
    address: str | None
    """Where its leaders listen; None if they listen at socket files only."""
    argv: tuple[str, ...]
    """The command that this machine would run: once, or on this machine alone for each rank."""
    model_folder: str
    ranks: tuple[PlannedRank, ...]
    listens: tuple[PlannedEdge, ...]
    """Edges from and to other machines, at the end that listens."""
    plain: tuple[PlannedEdge, ...] = ()
    """Plain edges, at either end: there torch.distributed listens as well."""


def planned_starts(plan: Plan, hosts: Hosts | None, folder: Path | None) -> Sequence[PlannedStart]:
    """Return what a launch of a plan would start, in the order of the plan.

    Raises
    ------
    InputError
        An address must not be used.
    """
    own = str((folder or Path(plan.model.path or ".")).absolute())
    if hosts is None:
        argv = Here(VARIABLES).command(RANK).argv
        ranks = _ranks(plan, range(len(plan.stages)))
        return [PlannedStart(None, None, argv, own, tuple(ranks), ())]
    there = own if hosts.model_folder is None else str(hosts.model_folder)
    return [
        PlannedStart(
            place.name,
            place.address,
            place.starter(hosts.reach).command(AGENT).argv,
            there,
            tuple(_ranks(plan, place.stages)),
            tuple(_listens(plan, place, hosts.first_port)),
            tuple(_plain(plan, place, hosts.reach.behind)),
        )
        for place in host_places(plan, hosts.reach)
    ]


def _ranks(plan: Plan, stages: Sequence[int]) -> Iterator[PlannedRank]:
    for index in stages:
        stage = plan.stages[index]
        for rank, device in enumerate(stage.devices):
            yield PlannedRank(stage.id, rank, device)


def _listens(plan: Plan, place: HostPlace, first_port: int | None) -> Iterator[PlannedEdge]:
    """Yield the edges from and to other machines at which a host's leaders listen."""
    edges = launch_edges(plan)
    for number in place.listens:
        yield PlannedEdge(*edges[number], None if first_port is None else first_port + number)


def _plain(plan: Plan, place: HostPlace, behind: Sequence[str]) -> Iterator[PlannedEdge]:
    """Yield the edges of a host that stay inside its trusted site."""
    mine = {plan.stages[index].id for index in place.stages}
    site = plan.cluster.site_of(place.name)
    for edge in plain_edges(plan, behind):
        if mine & set(edge):
            yield PlannedEdge(*edge, None, site)
