"""Which edges a plan uses, and which of them are plain; without torch, for those who only look."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from hexplan.cost.links import compression
from hexplan.field_types import Compression
from hexplan.plan import ENTRY, EXIT, Plan
from hexplan_runtime.stage.messages import Across, EdgePlace

LAUNCHER = "launcher"
"""The process at the other end of entry and exit edges."""


def used_edges(plan: Plan) -> tuple[tuple[str, str], ...]:
    """Return the edges that routes take, in the order in which routes first take them."""
    pairs = [pair for route in range(len(plan.routes)) for pair in route_edges(plan, route)]
    return tuple(dict.fromkeys(pairs))


def launch_edges(plan: Plan) -> tuple[tuple[str, str], ...]:
    """Return every edge of a launch: those that routes take, and then the ways back."""
    return (*used_edges(plan), *back_edges(plan))


def back_edges(plan: Plan) -> tuple[tuple[str, str], ...]:
    """Return the ways of tokens from last stages straight to other stages where routes begin."""
    ends = [route_ends(plan, n) for n in range(len(plan.routes)) if returns_directly(plan, n)]
    return tuple(dict.fromkeys((last, first) for first, last in ends if first != last))


def edge_epochs(plan: Plan, generations: Sequence[int]) -> dict[tuple[str, str], int]:
    """Return the epoch of each edge, which rises whenever the process at an end is another one."""
    lost = dict(zip((stage.id for stage in plan.stages), generations, strict=False))
    return {edge: lost.get(edge[0], 0) + lost.get(edge[1], 0) for edge in launch_edges(plan)}


def edge_compressions(plan: Plan) -> dict[tuple[str, str], Compression]:
    """Return how each edge between two stages sends activations."""
    hosts = {stage.id: stage.host for stage in plan.stages}
    return {
        (source, target): compression(plan.cluster, hosts[source], hosts[target])
        for source, target in launch_edges(plan)
        if source != ENTRY and target != EXIT
    }


def plain_edges(plan: Plan, behind: Collection[str] = ()) -> tuple[tuple[str, str], ...]:
    """Return the edges between two machines of a trusted site; all others are encrypted.

    Their ends reach each other both ways, so hosts that others cannot call have none.
    """
    hosts = {stage.id: stage.host for stage in plan.stages}
    return tuple(
        (source, target)
        for source, target in launch_edges(plan)
        if source != ENTRY
        and target != EXIT
        and hosts[source] != hosts[target]
        and not {hosts[source], hosts[target]} & set(behind)
        and plan.cluster.is_trusted(hosts[source], hosts[target])
    )


def returns_directly(plan: Plan, route: int) -> bool:
    """Say whether tokens go from a route's last stage straight to its first.

    They go through the router where the plan's cluster has no link that may carry them.
    """
    hosts = {stage.id: stage.host for stage in plan.stages}
    first, last = (hosts[stage] for stage in route_ends(plan, route))
    return first == last or plan.cluster.link(last, first) is not None


def route_ends(plan: Plan, route: int) -> tuple[str, str]:
    """Return the first and the last stage of a route."""
    hops = plan.routes[route].hops
    return hops[0].stage, hops[-1].stage


def route_edges(plan: Plan, route: int) -> tuple[tuple[str, str], ...]:
    """Return the edges of one route, from entry to exit."""
    ends = (ENTRY, *(hop.stage for hop in plan.routes[route].hops), EXIT)
    return tuple(zip(ends, ends[1:], strict=False))


def processes_of(source: str, target: str) -> tuple[str, str]:
    """Return which processes are at the ends of an edge."""
    return (LAUNCHER if source == ENTRY else source, LAUNCHER if target == EXIT else target)


def listener(plan: Plan, edge: tuple[str, str], behind: Collection[str] = ()) -> str:
    """Return which process listens: never the launcher, and the target if both ends are stages.

    Where the target's host is one that other hosts cannot call, the source listens.
    """
    source, target = edge
    if target == EXIT:
        return source
    hosts = {stage.id: stage.host for stage in plan.stages}
    is_hidden = source != ENTRY and hosts[target] in behind and hosts[source] != hosts[target]
    return source if is_hidden else target


def behind_of(across: Across | None) -> tuple[str, ...]:
    """Return the hosts of a launch that other hosts cannot call."""
    return () if across is None else across.behind


def numbered(edges: Sequence[tuple[str, str]]) -> tuple[EdgePlace, ...]:
    """Return the edges with which a launch begins, in their order."""
    return tuple(EdgePlace(number=n, source=s, target=t) for n, (s, t) in enumerate(edges))
