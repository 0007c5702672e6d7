"""Make a placement fit the links: arrange it, split the sites, then search from the best."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from hexplan.cost.speed import MICRO
from hexplan.errors import LimitReached
from hexplan_solver.arrange import arrange
from hexplan_solver.carried import used_part
from hexplan_solver.coverage import Coverage, covered
from hexplan_solver.incumbent import MILP_DEVICES, Incumbent
from hexplan_solver.infeasible.one_route import find_route
from hexplan_solver.infeasible.places import ways_of
from hexplan_solver.judges import Judge, judge_for
from hexplan_solver.link_milp import small_network, solve_links
from hexplan_solver.network import Network, PlacedStage
from hexplan_solver.parts import num_devices
from hexplan_solver.placement import place
from hexplan_solver.problem import Problem
from hexplan_solver.routes import Flow
from hexplan_solver.run import MILP_TOLERANCE, Run
from hexplan_solver.search import improve
from hexplan_solver.segments import solve_segments
from hexplan_solver.splits import best_split
from hexplan_solver.zone_bound import zone_bound
from hexplan_solver.zoned_starts import balanced_starts, bordered_starts
from hexplan_solver.zones import zones_of

BORDERED_SHARE, SEGMENTS_SHARE, SPLIT_SHARE, ARRANGE_SHARE = 0.8, 0.15, 0.4, 0.3
"""Shares of the time left: for segments by zones, for other segments, for sites by themselves, and
for arranging."""
BOUND_SHARE, EXACT_SHARE = 0.4, 0.6
"""The same for the bound and the MILP."""
ARRANGEMENTS, ZONED = 16, 1
"""Seeds from which one placement is arranged; few where zones keep it from its flow anyway."""
FAR = 0.9
"""Where zones pass less than this share of a placement, others made without regard to links do no
better."""
FEW_WAYS = 20
"""Ways through the links of which one route is looked for, at most."""
LITTLE = 1e-3
"""The search ends once so little is left to gain, as a share of the bound."""
GOOD_START = 0.97
"""Share of the bound at which zones that pass the same throughout need no others beside them."""
HOPEFUL = 0.7
"""Placements with less than this share of the best flow are not searched from."""
ATTEMPTS = 6
"""Searches, in turn from each start, each with a seed of its own: they end far apart."""

Stages = list[PlacedStage]


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
    network, flow = used_part(problem, place(problem, incumbent.coverage))
    if flow.value < incumbent.value * (1 - MILP_TOLERANCE):
        judge = judge_for(problem, network.stages, flow)
        every = small_network(problem)
        starts = _starts(run, problem, judge, [incumbent, *others], is_small=every is not None)
        network, flow = _better_of((network, flow), used_part(problem, starts[0]))
        if flow.value < incumbent.value * (1 - MILP_TOLERANCE):
            _lower_bound(run, problem, flow)
        if every is not None:
            network, flow = _exact(run, problem, every, (network, flow))
        for attempt in range(ATTEMPTS):
            if run.bound - flow.value <= LITTLE * run.bound or not run.left_s:
                break
            start = starts[attempt % len(starts)]
            found = used_part(problem, _improved(run, problem, judge, start, attempt))
            network, flow = _better_of((network, flow), found)
    if flow.value == 0:
        message = (
            "no placement was found whose stages are connected to each other and the coordinator"
        )
        raise LimitReached(
            message, hint="look at `links`: pairs that no rule names are unconnected"
        )
    run.tell("links", flow.value / MICRO)
    return network, flow


def _better_of(one: tuple[Network, Flow], other: tuple[Network, Flow]) -> tuple[Network, Flow]:
    return other if other[1].value > one[1].value else one


class _Starts:
    """Placements to search from, and what each of them passes."""

    def __init__(self, judge: Judge) -> None:
        self._judge = judge
        self._found: list[tuple[int, Stages]] = []

    def add(self, placements: Iterable[Stages]) -> None:
        """Judge placements, and keep those that there are."""
        self._found += [(self._judge.flow(stages), stages) for stages in placements if stages]

    def add_first(self, stages: Stages) -> None:
        """Put a placement before those that pass as much: what is less than a unit counts as 0."""
        self._found.insert(0, (self._judge.flow(stages), stages))

    @property
    def best(self) -> int:
        """The largest flow, in 1e-6 tokens/s."""
        return max((flow for flow, _ in self._found), default=0) * self._judge.unit

    def hopeful(self) -> list[Stages]:
        """Return those worth searching from, the best first."""
        ranked = sorted(self._found, key=lambda pair: pair[0], reverse=True)
        return [stages for flow, stages in ranked if flow >= HOPEFUL * ranked[0][0]]


def _starts(
    run: Run, problem: Problem, judge: Judge, incumbents: Sequence[Incumbent], *, is_small: bool
) -> list[Stages]:
    """Return placements to search from, the best first: what is quick comes before what is not.

    Parameters
    ----------
    is_small
        Whether one MILP holds placement and flow; then the time is that one's.
    """
    starts, zones = _Starts(judge), zones_of(problem, run.bound)
    is_free = not any(host_class.must_serve for host_class in problem.classes)
    is_zoned = is_free and len(zones) > 1
    if is_zoned:
        starts.add(balanced_starts(run, problem, zones))
    until = run.elapsed_s + run.left_s * ARRANGE_SHARE

    def may_go_on() -> bool:
        return run.elapsed_s < until and run.left_s > 0

    is_far = False
    for incumbent in (i for i in incumbents if i.value):
        if not is_far:
            starts.add([_arranged(run, problem, judge, incumbent.coverage, may_go_on)])
            is_far = is_zoned and starts.best < FAR * incumbent.value
    is_small_enough = num_devices(problem) <= MILP_DEVICES
    if is_free and not is_far and is_small_enough and starts.best < GOOD_START * run.bound:
        # Stages that hold whole segments are easier to join than lanes of several.
        limits, limit_s = (0, run.bound), run.left_s * SEGMENTS_SHARE
        coverage = solve_segments(problem, run.options, limits, limit_s, longest=1)
        if coverage.columns:
            starts.add([_arranged(run, problem, judge, coverage, may_go_on)])
    if is_zoned and not is_small:
        reached = starts.best, run.left_s * BORDERED_SHARE
        starts.add(bordered_starts(run, problem, zones, judge, reached))
    if is_free and not starts.best:
        # Where links are few, one route may be all that any search finds.
        ways = ways_of(problem)[:FEW_WAYS]
        routes = (find_route(problem, way, run.options) for way in ways)
        for route in [route for route in routes if route][:1]:
            starts.add_first(route)
    if starts.best < GOOD_START * run.bound:
        starts.add([best_split(run, problem, judge, run.left_s * SPLIT_SHARE, starts.best)])
    return starts.hopeful()


def _arranged(
    run: Run, problem: Problem, judge: Judge, coverage: Coverage, may_go_on: Callable[[], bool]
) -> Stages:
    """Arrange a placement from several seeds, until it passes what it would without links."""
    seeds = ARRANGEMENTS if len(zones_of(problem, run.bound)) == 1 else ZONED
    wanted = covered(problem, coverage.columns)
    best = placed = place(problem, coverage)
    value = judge.flow(best)
    for seed in range(run.options.seed, run.options.seed + seeds):
        if value >= wanted // judge.unit - len(best) or not may_go_on():
            break
        found = arrange(problem, placed, wanted, seed, may_go_on)
        if judge.flow(found) > value:
            best, value = found, judge.flow(found)
    return best


def _lower_bound(run: Run, problem: Problem, flow: Flow) -> None:
    """Lower the bound where little passes between the sites."""
    zones = zones_of(problem, run.bound)
    if len(zones) > 1:
        limit_s = run.left_s * BOUND_SHARE
        proved = zone_bound(problem, zones, flow.value, run.bound, limit_s)
        run.lower(proved, "zone bound: LP duals, over every share that a site can have of the flow")
        run.tell("zones", flow.value / MICRO)


def _exact(
    run: Run, problem: Problem, every: Network, best: tuple[Network, Flow]
) -> tuple[Network, Flow]:
    """Solve placement and flow in one MILP, and return the better of that and the best so far."""
    limits = (run.left_s * EXACT_SHARE, run.bound)
    placed, bound = solve_links(
        problem, every, best[0].stages, run.options, limits, run.watcher("links")
    )
    found = _better_of(best, used_part(problem, placed))
    run.tighten(bound, found[1].value, "link bound: dual bound of the MILP over placement and flow")
    return found


def _improved(run: Run, problem: Problem, judge: Judge, start: Stages, attempt: int) -> Stages:
    until = run.elapsed_s + run.left_s / (ATTEMPTS - attempt)

    def may_go_on(best: int) -> bool:
        run.tell("links", best / MICRO)
        return run.elapsed_s < until and run.left_s > 0

    seed = run.options.seed * ATTEMPTS + attempt
    return improve(problem, judge, start, run.bound, seed, may_go_on)
