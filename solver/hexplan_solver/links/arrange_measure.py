"""A simple measure of how well an arrangement of segments suits the links; it is fast.

It sums the flow that each boundary between two segments can pass by itself. Where sites share
trunks, which all boundaries use together, it subtracts what overloads the trunks. The reasons are
in docs/decisions, 5.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import permutations

import numpy as np
from numpy.typing import NDArray

from hexplan.cluster import COORDINATOR
from hexplan.constants import MICRO
from hexplan.cost import link_rate, token_bytes
from hexplan_solver.links.params import LinkParams
from hexplan_solver.links.placed_segments import PlacedSegment, moved
from hexplan_solver.placement.placement import PlacedStage
from hexplan_solver.problem.problem import Problem


class Measure:
    """Sums the flow that each boundary between segments can pass by itself."""

    def __init__(self, problem: Problem, wanted: int, params: LinkParams) -> None:
        self._problem = problem
        self._wanted = wanted
        self._params = params
        self._site_of = problem.spec.cluster.site_of
        self._sites, self._trunks = _trunks_of(problem)
        self._crossing: dict[tuple[PlacedSegment | None, PlacedSegment], NDArray[np.float64]] = {}
        self._links: dict[tuple[str, str], int] = {}
        self._known: dict[tuple[PlacedSegment, PlacedSegment], int] = {}

    def steps(self, num_stages: int) -> int:
        """Return how many changes to try."""
        params = self._params
        if not self._trunks.size:
            return params.arrange_steps
        return min(params.max_arrange_steps, params.arrange_steps_per_stage * num_stages)

    def most(self, segments: Sequence[PlacedSegment]) -> int:
        """Return the measure of an arrangement whose links carry all of the wanted flow."""
        return self._wanted * (len(segments) + 1)

    def laid_out(self, segments: Sequence[PlacedSegment]) -> list[list[PlacedStage]]:
        """Put segments end to end, with the rates that their stages have there."""
        first, placed = 0, []
        for segment in segments:
            stages = moved(segment.stages, first)
            rates = [self._problem.kinds[s.kind].rates.of(*s.layers) for s in stages]
            placed.append([replace(s, rate=r) for s, r in zip(stages, rates, strict=True)])
            first = max(s.layers[1] for s in stages)
        return placed

    def of(self, segments: Sequence[PlacedSegment]) -> int:
        """Return the measure of segments in this order."""
        total = self._entry(segments[0]) + self._exit(segments[-1])
        for before, after in zip(segments, segments[1:], strict=False):
            key = (before, after)
            if key not in self._known:
                self._known[key] = self._boundary(before.ending, after.starting)
            total += self._known[key]
        return total - int(self._overload(segments)) if self._trunks.size else total

    def _entry(self, segment: PlacedSegment) -> int:
        """Return what passes from entry into a segment, by the rates of its stages there."""
        rates = {s: self._problem.kinds[s.kind].rates.of(*s.layers) for s in segment.stages}
        flow = sum(min(rates[s], self._link(COORDINATOR, s.host)) for s in segment.starting)
        return min(self._wanted, flow) if min(rates.values()) else -self._wanted

    def _exit(self, segment: PlacedSegment) -> int:
        """Return what passes from a segment to exit, by the rates of its stages there."""
        shift = self._problem.num_layers - segment.num_layers
        rates = {
            s: self._problem.kinds[s.kind].rates.of(s.layers[0] + shift, s.layers[1] + shift)
            for s in segment.stages
        }
        flow = sum(min(rates[s], self._link(s.host, COORDINATOR)) for s in segment.ending)
        return min(self._wanted, flow) if min(rates.values()) else -self._wanted

    def _boundary(self, before: Sequence[PlacedStage], after: Sequence[PlacedStage]) -> int:
        out = sum(
            min(a.rate, sum(min(self._link(a.host, b.host), b.rate) for b in after)) for a in before
        )
        into = sum(
            min(b.rate, sum(min(self._link(a.host, b.host), a.rate) for a in before)) for b in after
        )
        return min(self._wanted, out, into)

    def _overload(self, segments: Sequence[PlacedSegment]) -> float:
        """Return what sites send beyond what trunks carry, over all boundaries together."""
        total = np.zeros_like(self._trunks)
        for pair in zip((None, *segments[:-1]), segments, strict=True):
            if pair not in self._crossing:
                self._crossing[pair] = self._crossed(*pair)
            total += self._crossing[pair]
        return float(np.maximum(total - self._trunks, 0.0).sum())

    def _crossed(self, before: PlacedSegment | None, after: PlacedSegment) -> NDArray[np.float64]:
        """Return what passes from site to site on the way into a segment and inside it.

        Every stage is taken to pass a share of the flow in proportion to its rate.
        """
        total = np.zeros_like(self._trunks)
        if before is not None:
            total += self._between(before.ending, after.starting)
        inside = {s.layers[1] for s in after.stages} & {s.layers[0] for s in after.stages}
        for layer in sorted(inside):
            ending = [s for s in after.stages if s.layers[1] == layer]
            starting = [s for s in after.stages if s.layers[0] == layer]
            total += self._between(ending, starting, after.stages)
        return total

    def _between(
        self,
        ending: Sequence[PlacedStage],
        starting: Sequence[PlacedStage],
        segment: Sequence[PlacedStage] = (),
    ) -> NDArray[np.float64]:
        """Return what passes from site to site where some stages end and others start.

        Parameters
        ----------
        segment
            The stages that the flow is shared with; if empty, these stages take all of it.
        """
        shares = np.zeros((2, len(self._sites)))
        for row, stages in enumerate((ending, starting)):
            layer = stages[0].layers[1 - row] - (1 - row)
            beside = [s for s in segment if s.layers[0] <= layer < s.layers[1]] or stages
            whole = sum(s.rate for s in beside)
            for stage in stages:
                shares[row, self._sites[self._site_of(stage.host)]] += stage.rate / max(whole, 1)
        sent, received = (np.maximum(sign * (shares[0] - shares[1]), 0.0) for sign in (1, -1))
        passed: NDArray[np.float64] = np.outer(sent, received) / max(received.sum(), 1e-9)
        return self._wanted * passed

    def _link(self, source: str, target: str) -> int:
        pair = source, target
        if pair not in self._links:
            spec = self._problem.spec
            self._links[pair] = link_rate(spec.cluster, spec.model, source, target) or 0
        return self._links[pair]


def _trunks_of(problem: Problem) -> tuple[dict[str, int], NDArray[np.float64]]:
    """Return the sites by number, and what the trunk from each to each other carries.

    In 1e-6 tokens/s, of shape (sites, sites); empty where some link between sites has no trunk.
    """
    cluster, model = problem.spec.cluster, problem.spec.model
    first = {host.site: host.name for host in reversed(cluster.hosts)}
    sites = {site: position for position, site in enumerate(first)}
    trunks = np.zeros((len(sites), len(sites)))
    for source, target in permutations(sites, 2):
        link = cluster.link(first[source], first[target])
        trunk = cluster.over(link).trunk_bytes_per_s if link is not None else None
        if link is not None and trunk is None:
            return sites, np.zeros((0, 0))
        per_token = token_bytes(cluster, model, first[source], first[target])
        trunks[sites[source], sites[target]] = (trunk or 0) * MICRO / per_token
    return sites, trunks if len(sites) > 1 else np.zeros((0, 0))
