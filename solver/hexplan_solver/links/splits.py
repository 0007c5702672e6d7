"""Split a cluster into groups of sites that serve by themselves, or two by two."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from hexplan_solver.bounds.work_bound import work_bound
from hexplan_solver.budget import Budget
from hexplan_solver.flow.valuers import Valuer
from hexplan_solver.links.arrange import arrange
from hexplan_solver.links.zone_pipelines import help_each_other
from hexplan_solver.placement.naming import place
from hexplan_solver.placement.placement import Placement
from hexplan_solver.problem.problem import Problem
from hexplan_solver.problem.zones import Zone, zones_of
from hexplan_solver.run import Run
from hexplan_solver.start.incumbent import better_placement, first_placement

MAX_PARTS, MAX_HOSTS = 4, 40
"""Above either, each part serves by itself; else every way to join parts is tried."""

FIRST_SHARE = 0.6
"""Share of a block's time that goes into its first placement, and not into the MILP."""

Block = tuple[int, ...]
"""Parts that serve together, by position."""


def best_split(
    run: Run, problem: Problem, valuer: Valuer, time_limit_s: float, reached: int
) -> Placement:
    """Return the best placement over the ways to split the sites into pipelines of their own.

    Parameters
    ----------
    reached
        What another placement passes; where that is nothing, every part is tried by itself whatever
        the time.
    """
    if problem.is_pinned:
        return Placement()
    parts = _parts(problem, run.bound)
    splits = [
        split for split in _partitions(range(len(parts))) if len(split) > 1 or len(parts) == 2
    ]
    if len(parts) > MAX_PARTS or len(problem.spec.cluster.hosts) > MAX_HOSTS:
        splits = [[(part,) for part in range(len(parts))]]
    blocks = sorted({b for split in splits for b in split}, key=lambda b: (len(b), b))
    until = run.elapsed_s + time_limit_s
    solver = _Blocks(run, problem, parts, valuer)
    placed: dict[Block, Placement] = {}
    for block in blocks:
        if (len(block) == 1 and not reached) or run.elapsed_s < until:
            placed[block] = solver.place(block, time_limit_s / len(blocks))
    joined = [
        Placement.of(stage for block in split for stage in placed[block])
        for split in splits
        if all(block in placed for block in split)
    ]
    return max((stages for stages in joined if stages), key=valuer.flow, default=Placement())


def _parts(problem: Problem, bound: int) -> list[Zone]:
    """Return the zones; where there is one only, its sites, as single links may bind."""
    zones = zones_of(problem, bound)
    if len(zones) > 1:
        return zones
    hosts = problem.spec.cluster.hosts
    sites = dict.fromkeys(host.site for host in hosts)
    return [Zone(tuple(h.name for h in hosts if h.site == site), bound, bound) for site in sites]


def _partitions(items: Sequence[int]) -> Iterator[list[Block]]:
    """Yield every way to split items into blocks."""
    if not items:
        yield []
        return
    first, rest = items[0], items[1:]
    for split in _partitions(rest):
        yield [(first,), *split]
        for i, block in enumerate(split):
            yield [*split[:i], (first, *block), *split[i + 1 :]]


class _Blocks:
    """Places the model on some parts of the cluster alone."""

    def __init__(self, run: Run, problem: Problem, parts: Sequence[Zone], valuer: Valuer) -> None:
        self._run, self._problem, self._parts, self._valuer = run, problem, parts, valuer

    def place(self, block: Block, limit_s: float) -> Placement:
        """Place a block, links ignored and then arranged; a pair also with what may cross."""
        found = [self._place_alike(block, limit_s)]
        if len(block) == 2:
            found.append(self._place_pair(block, limit_s))
        return max(found, key=lambda stages: self._valuer.flow(stages) if stages else 0)

    def _place_alike(self, block: Block, limit_s: float) -> Placement:
        run = self._run
        hosts = [name for part in block for name in self._parts[part].hosts]
        own = self._problem.only(hosts)
        if not work_bound(own):
            return Placement()
        start = first_placement(own, run.options, limit_s * FIRST_SHARE)
        budget = Budget(limit_s * (1 - FIRST_SHARE), run.bound, watch=run.watcher("sites"))
        found = better_placement(own, start, run.options, budget)
        if not found.value:
            return Placement()
        placed, seed = place(own, found.counts), run.options.seed
        return arrange(own, placed, found.value, seed, lambda: run.left_s > 0)

    def _place_pair(self, block: Block, limit_s: float) -> Placement:
        """Place two parts of which the larger helps the other as far as links allow."""
        zones = [self._problem.only(self._parts[part].hosts) for part in block]
        larger, smaller = sorted(range(2), key=lambda i: (-work_bound(zones[i]), i))
        one, other = (self._parts[block[i]] for i in (larger, smaller))
        crossing = min(one.outward, other.inward)
        if not 0 < crossing < self._run.bound:
            return Placement()
        pair = zones[larger], zones[smaller]
        return help_each_other(pair, crossing, self._run.options, limit_s)
