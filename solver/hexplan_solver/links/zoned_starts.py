"""Placements in which each zone passes nearly the same flow at all layers.

Then the links carry what passes from zone to zone (docs/decisions, 8).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product

from hexplan_solver.budget import Budget
from hexplan_solver.links.arrange import ArrangeOptions, arrange
from hexplan_solver.links.link_search import LinkSearch
from hexplan_solver.placement.naming import place
from hexplan_solver.placement.placement import Placement
from hexplan_solver.placement.stage_counts import least_coverage
from hexplan_solver.problem.zones import Zone
from hexplan_solver.segments.segments import solve_segments
from hexplan_solver.segments.zone_bands import ZoneBands
from hexplan_solver.start.balance import Floors, balance
from hexplan_solver.start.params import START_PARAMS
from hexplan_solver.start.slices import num_devices

INT64_ROOM = 2**55
"""Larger flows, which no machines reach, could overflow 64-bit sums."""


def balanced_starts(search: LinkSearch, zones: Sequence[Zone]) -> Iterator[Placement]:
    """Yield placements that balance the zones beside the layers: quick, and good on many hosts."""
    run, problem, params = search.run, search.problem, search.params
    if run.bound > INT64_ROOM:
        return
    bands = ZoneBands.of(problem, zones, run.bound, 1.0)
    for slack, loss in product(params.balanced_slacks, params.balanced_losses):
        if not run.left_s:
            return
        least = tuple(int(share * run.bound * (1 - slack)) for share in bands.shares)
        yield place(problem, balance(problem, run.bound, loss, Floors(bands.zone_of, least)))


def banded_starts(search: LinkSearch, zones: Sequence[Zone], budget: Budget) -> Iterator[Placement]:
    """Yield placements by segments between which no zone changes its flow by too much.

    Parameters
    ----------
    budget
        Its `reached` is the flow of the best placement so far.
    """
    run, problem, params = search.run, search.problem, search.params
    if num_devices(problem) > START_PARAMS.milp_devices or run.bound > INT64_ROOM:
        return
    reached, until = budget.reached, run.elapsed_s + budget.seconds
    for free, share in zip(params.bands, params.band_shares, strict=True):
        left_s = (until - run.elapsed_s) * share
        if left_s <= 0:
            return
        bands = ZoneBands.of(problem, zones, run.bound, free)
        left = Budget(left_s, run.bound, reached)
        found = solve_segments(problem, run.options, left, bands)
        if not found.stages:
            continue
        placed, wanted = place(problem, found), least_coverage(problem, found.stages)
        options = ArrangeOptions(run.options.seed, lambda: run.elapsed_s < until, params)
        arranged = arrange(problem, placed, wanted, options)
        reached = max(reached, search.valuer.flow(arranged))
        yield arranged
        yield placed
