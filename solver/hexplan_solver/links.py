"""Make a placement fit the links: other splits of the sites, then local search."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from hexplan.cost.speed import MICRO
from hexplan.errors import LimitReached
from hexplan_solver.flow import max_flow
from hexplan_solver.incumbent import Incumbent, better_placement, first_placement
from hexplan_solver.judges import Judge, LinkJudge, SharedJudge
from hexplan_solver.network import Network, PlacedStage, build_network
from hexplan_solver.placement import place
from hexplan_solver.problem import Problem
from hexplan_solver.routes import Flow
from hexplan_solver.run import MILP_TOLERANCE, Run
from hexplan_solver.search import improve

MAX_SITES = 4
"""With more sites, only all together and each by itself are tried."""
SPLIT_SHARE = 0.3
"""Share of the time left that goes into solving groups of sites by themselves."""
SEARCHED = 2
"""How many of the best starts are improved."""


def fit_links(
    run: Run, problem: Problem, placed: Sequence[PlacedStage], incumbent: Incumbent
) -> tuple[Network, Flow]:
    """Return the network and flow of the best placement found, exact in every capacity.

    Raises
    ------
    LimitReached
        If no placement was found whose links carry anything.
    """
    network, flow = _used_part(problem, placed)
    if flow.value < incumbent.value * (1 - MILP_TOLERANCE):
        judge = _judge(problem, flow)
        for start in _starts(run, problem, judge, placed):
            better = _improved(run, problem, judge, start)
            candidate = _used_part(problem, better)
            if candidate[1].value > flow.value:
                network, flow = candidate
    if flow.value == 0:
        message = (
            "no placement was found whose stages are connected to each other and the coordinator"
        )
        raise LimitReached(
            message, hint="look at `links`: pairs that no rule names are unconnected"
        )
    run.tell("links", flow.value / MICRO)
    return network, flow


def _used_part(problem: Problem, placed: Sequence[PlacedStage]) -> tuple[Network, Flow]:
    """Compute the flow, and leave out the stages that it does not use, unless they are pinned."""
    network = build_network(problem.spec, placed)
    flow = max_flow(network)
    used = {stage for path in flow.paths for stage in path.stages}
    used |= {i for i, s in enumerate(network.stages) if problem.kinds[s.kind].pin is not None}
    if len(used) < len(network.stages):
        network = build_network(problem.spec, [network.stages[i] for i in sorted(used)])
        flow = max_flow(network)
    return network, flow


def _judge(problem: Problem, flow: Flow) -> Judge:
    """Choose the fast judge unless a NIC binds or sites share a trunk."""
    is_shared = any(term.constraint.startswith("nic") for term in flow.cut)
    has_trunk = any(link.trunk_bytes_per_s for link in problem.spec.cluster.links)
    return SharedJudge(problem) if is_shared or has_trunk else LinkJudge(problem)


def _improved(
    run: Run, problem: Problem, judge: Judge, start: list[PlacedStage]
) -> list[PlacedStage]:
    until = run.elapsed_s + run.left_s / 2

    def may_go_on(best: int) -> bool:
        run.tell("links", best / MICRO)
        return run.elapsed_s < until

    return improve(problem, judge, start, run.bound, run.options.seed, may_go_on)


def _starts(
    run: Run, problem: Problem, judge: Judge, placed: Sequence[PlacedStage]
) -> list[list[PlacedStage]]:
    """Return the best placements over the ways to split the sites into pipelines of their own."""
    starts = [list(placed)]
    if any(host_class.must_serve for host_class in problem.classes):
        return starts
    sites = sorted({host.site for host in problem.spec.cluster.hosts})
    splits = [split for split in _splits(sites) if len(split) > 1]
    if len(sites) > MAX_SITES:
        splits = [[[site] for site in sites]]
    blocks = {tuple(block) for split in splits for block in split}
    limit_s = run.left_s * SPLIT_SHARE / max(1, len(blocks))
    placements = {block: _place_block(run, problem, block, limit_s) for block in sorted(blocks)}
    for split in splits:
        joined = [stage for block in split for stage in placements[tuple(block)]]
        if joined:
            starts.append(joined)
    starts.sort(key=judge.flow, reverse=True)
    return starts[:SEARCHED]


def _place_block(
    run: Run, problem: Problem, sites: Sequence[str], limit_s: float
) -> list[PlacedStage]:
    """Place the model on some sites alone, links ignored; nothing where it does not fit."""
    cluster = problem.spec.cluster
    part = problem.only([host.name for host in cluster.hosts if host.site in sites])
    start = first_placement(part, run.options, limit_s / 3)
    limits = (limit_s * 2 / 3, run.bound)
    incumbent = better_placement(
        part, start, run.options, limits, lambda found, bound: run.tell("sites", None)
    )
    return place(part, incumbent.coverage) if incumbent.value else []


def _splits(items: Sequence[str]) -> Iterator[list[list[str]]]:
    """Yield every way to split items into blocks."""
    if not items:
        yield []
        return
    first, rest = items[0], items[1:]
    for split in _splits(rest):
        yield [[first], *split]
        for i, block in enumerate(split):
            yield [*split[:i], [first, *block], *split[i + 1 :]]
