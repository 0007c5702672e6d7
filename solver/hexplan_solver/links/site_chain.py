"""Sites in a row: each serves some layers for all of the flow, which crosses once to the next.

Where many single links join two sites, they carry the flow together though none could alone. So it
crosses through a *door*: stages side by side, each of which passes no more than one link carries.
Each site is solved by itself, by segments of the flow; their layers have to add up.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise, permutations, product
from statistics import median_low

from hexplan.constants import MICRO
from hexplan.cost import link_rate, token_bytes
from hexplan_solver.links.link_search import LinkSearch
from hexplan_solver.links.site_layers import SiteLanes, SitePart, SitePlanner, SiteSegments
from hexplan_solver.placement.placement import PlacedStage, Placement
from hexplan_solver.problem.problem import Problem
from hexplan_solver.problem.zones import Zone, hosts_by_site, zone_capacities

Row = tuple[int, ...]
"""Sites in the order in which the flow visits them, by position."""


def best_chain(search: LinkSearch, time_limit_s: float, reached: int) -> Placement:
    """Return the best placement found whose sites form a row, or none.

    The flow is found by bisection.

    Parameters
    ----------
    reached
        The flow of another placement, in 1e-6 tokens/s; only larger ones are looked for.
    """
    run, params = search.run, search.params
    sites = hosts_by_site(search.problem.spec.cluster)
    if not 2 <= len(sites) <= params.max_chained_sites:
        return Placement()
    chains = _Chains(search.problem, sites)
    until = time.monotonic() + min(time_limit_s, run.left_s)
    best, low, high = Placement(), reached, run.bound
    for _ in range(params.chain_halvings):
        left_s = until - time.monotonic()
        if left_s <= 0:
            break
        target = (low + high + 1) // 2
        found = _At(search, chains, target, until - left_s / 2).first()
        if not found:
            high = target
            continue
        best, low = found, target
        if search.valuer.flow(found) < params.hopeful * target:
            break  # the links are too unlike for doors
    return best


class _Chains:
    """The sites, and what passes from one to the next."""

    def __init__(self, problem: Problem, sites: Sequence[tuple[str, ...]]) -> None:
        self.lanes = [SiteLanes.of(problem.only(site)) for site in sites]
        zones = [Zone(site, 0, 0) for site in sites]
        self.capacity = zone_capacities(problem, zones)
        """From site to site, in 1e-6 tokens/s."""
        pairs = permutations(range(len(sites)), 2)
        self.link = {(a, b): _usual_link(problem, zones[a], zones[b]) for a, b in pairs}
        """What one link from site to site carries, in 1e-6 tokens/s."""


def _usual_link(problem: Problem, source: Zone, target: Zone) -> int:
    """Return the median of what single links carry, each with the network cards at its ends."""
    cluster, model = problem.spec.cluster, problem.spec.model
    carried = []
    for a in source.hosts:
        for b in target.hosts:
            rate = link_rate(cluster, model, a, b)
            if rate:
                cards = (
                    cluster.host_by_name[a].nic_out_bytes_per_s,
                    cluster.host_by_name[b].nic_in_bytes_per_s,
                )
                carried.append(min(rate, min(cards) * MICRO // token_bytes(cluster, model, a, b)))
    return median_low(carried) if carried else 0


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A row, and the part of each of its sites."""

    row: Row
    parts: tuple[SitePart, ...]


class _At:
    """The rows that pass one flow."""

    def __init__(self, search: LinkSearch, chains: _Chains, target: int, until: float) -> None:
        self._chains, self._target, self._until = chains, target, until
        options, params = search.run.options, search.params
        self._planners = [SitePlanner(lanes, target, options, params) for lanes in chains.lanes]
        self._num_layers = search.problem.num_layers

    def first(self) -> Placement | None:
        """Return the first row found whose sites hold all layers."""
        for candidate in self._candidates():
            if time.monotonic() > self._until:
                return None
            found = [
                self._planners[site].most_layers(part, self._until)
                for site, part in zip(candidate.row, candidate.parts, strict=True)
            ]
            segments = [one for one in found if one is not None]
            surplus = sum(one.num_layers for one in segments) - self._num_layers
            if len(segments) == len(found) and surplus >= 0:
                return self._placed(candidate.row, segments, surplus)
        return None

    def _candidates(self) -> Iterator[_Candidate]:
        """Yield rows that may hold all layers, those first that may hold most."""
        most = [planner.generate(self._until) for planner in self._planners]
        useful = [site for site, layers in enumerate(most) if layers > 0]
        rows = [row for n in range(2, len(useful) + 1) for row in permutations(useful, n)]
        hopeful = [row for row in rows if sum(most[site] for site in row) >= self._num_layers - 1]
        for row in sorted(hopeful, key=lambda row: (len(row), -sum(most[site] for site in row))):
            crossings = list(pairwise(row))
            if min(self._chains.capacity[ends] for ends in crossings) < self._target:
                continue
            links = [self._chains.link[ends] for ends in crossings]
            sides = [(0, 1) if 0 < link < self._target else (None,) for link in links]
            for doors in product(*sides):
                yield _Candidate(row, _parts(links, doors))

    def _placed(self, row: Row, found: list[SiteSegments], surplus: int) -> Placement:
        stages: list[PlacedStage] = []
        first = 0
        for site, segments in zip(row, found, strict=True):
            taken = min(surplus, max(0, segments.num_layers - 1))
            kept = segments.with_fewer_layers(taken)
            surplus -= taken
            stages += self._planners[site].placed(kept, first)
            first += kept.num_layers
        return Placement.of(stages)


def _parts(links: list[int], doors: tuple[int | None, ...]) -> tuple[SitePart, ...]:
    """Return the parts of a row; a door is on the side that sends (0) or that receives (1)."""
    last = len(links)
    return tuple(
        SitePart(
            is_first=i == 0,
            is_last=i == last,
            entry_link=links[i - 1] if i > 0 and doors[i - 1] == 1 else None,
            exit_link=links[i] if i < last and doors[i] == 0 else None,
        )
        for i in range(last + 1)
    )
