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
ATTEMPTS = 9
"""Searches, in turn from each start, each with a seed of its own: they end far apart."""


def fit_links(
    run: Run, problem: Problem, incumbent: Incumbent, others: Sequence[Incumbent]
) -> tuple[Network, Flow]:
    """Return the network and flow of the best placement found, exact in every capacity.

    Parameters
    ----------
    others
        More placements to search from, if the links do not carry the incumbent.

    Raises
    ------
    LimitReached
        If no placement was found whose links carry anything.
    """
    network, flow = _used_part(problem, place(problem, incumbent.coverage))
    if flow.value < incumbent.value * (1 - MILP_TOLERANCE):
        judge = _judge(problem, flow)
        joint = [place(problem, other.coverage) for other in (incumbent, *others) if other.value]
        starts = [*joint, *_split_start(run, problem, judge)]
        for attempt in range(ATTEMPTS):
            better = _improved(run, problem, judge, starts[attempt % len(starts)], attempt)
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
    run: Run, problem: Problem, judge: Judge, start: list[PlacedStage], attempt: int
) -> list[PlacedStage]:
    until = run.elapsed_s + run.left_s / (ATTEMPTS - attempt)

    def may_go_on(best: int) -> bool:
        run.tell("links", best / MICRO)
        return run.elapsed_s < until

    seed = run.options.seed * ATTEMPTS + attempt
    return improve(problem, judge, start, run.bound, seed, may_go_on)


def _split_start(run: Run, problem: Problem, judge: Judge) -> list[list[PlacedStage]]:
    """Return the best placement over the ways to split the sites into pipelines of their own."""
    if any(host_class.must_serve for host_class in problem.classes):
        return []
    sites = sorted({host.site for host in problem.spec.cluster.hosts})
    splits = [split for split in _splits(sites) if len(split) > 1]
    if len(sites) > MAX_SITES:
        splits = [[[site] for site in sites]]
    blocks = {tuple(block) for split in splits for block in split}
    limit_s = run.left_s * SPLIT_SHARE / max(1, len(blocks))
    placements = {block: _place_block(run, problem, block, limit_s) for block in sorted(blocks)}
    joined = [[s for block in split for s in placements[tuple(block)]] for split in splits]
    return sorted((stages for stages in joined if stages), key=judge.flow)[-1:]


def _place_block(
    run: Run, problem: Problem, sites: Sequence[str], limit_s: float
) -> list[PlacedStage]:
    """Place the model on some sites alone, links ignored; nothing where it does not fit."""
    cluster = problem.spec.cluster
    part = problem.only([host.name for host in cluster.hosts if host.site in sites])
    start = first_placement(part, run.options, limit_s / 3)
    limits = (limit_s * 2 / 3, run.bound)
    incumbent = better_placement(part, start, run.options, limits, run.watcher("sites"))
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
