"""How well an arrangement of blocks suits the links: a simple measure, and fast.

It is the flow that each boundary between two blocks can pass by itself; where sites share lines,
which all boundaries use together, less what overloads them.
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
from hexplan_solver.links.blocks import Block, moved
from hexplan_solver.placement.placement import PlacedStage
from hexplan_solver.problem.problem import Problem

STEPS = 6_000
"""Changes that are worth while."""
STEPS_PER_STAGE, MAX_STEPS = 300, 60_000
"""The same where sites share lines, as all boundaries then count together: a stage, and at most."""


class Measure:
    """Sums, over the boundaries between blocks, the flow that each can pass by itself."""

    def __init__(self, problem: Problem, wanted: int) -> None:
        self._problem = problem
        self._wanted = wanted
        self._site_of = problem.spec.cluster.site_of
        self._sites, self._lines = _lines_of(problem)
        self._crossing: dict[tuple[Block | None, Block], NDArray[np.float64]] = {}
        self._links: dict[tuple[str, str], int] = {}
        self._known: dict[tuple[Block, Block], int] = {}

    def steps(self, num_stages: int) -> int:
        """Return how many changes are worth while."""
        return min(MAX_STEPS, STEPS_PER_STAGE * num_stages) if self._lines.size else STEPS

    def most(self, blocks: Sequence[Block]) -> int:
        """Return the measure of an arrangement whose links carry all that is wanted."""
        return self._wanted * (len(blocks) + 1)

    def laid_out(self, blocks: Sequence[Block]) -> list[list[PlacedStage]]:
        """Put blocks end to end, with the speeds that stages have there."""
        first, placed = 0, []
        for block in blocks:
            stages = moved(block.stages, first)
            rates = [self._problem.kinds[s.kind].rates.of(*s.layers) for s in stages]
            placed.append([replace(s, rate=r) for s, r in zip(stages, rates, strict=True)])
            first = max(s.layers[1] for s in stages)
        return placed

    def of(self, blocks: Sequence[Block]) -> int:
        """Return the measure of blocks in this order."""
        total = self._entry(blocks[0]) + self._exit(blocks[-1])
        for before, after in zip(blocks, blocks[1:], strict=False):
            key = (before, after)
            if key not in self._known:
                self._known[key] = self._boundary(before.ending, after.starting)
            total += self._known[key]
        return total - int(self._overload(blocks)) if self._lines.size else total

    def _entry(self, block: Block) -> int:
        """Return what passes into the model, where the block's speeds are others."""
        rates = {s: self._problem.kinds[s.kind].rates.of(*s.layers) for s in block.stages}
        flow = sum(min(rates[s], self._link(COORDINATOR, s.host)) for s in block.starting)
        return min(self._wanted, flow) if min(rates.values()) else -self._wanted

    def _exit(self, block: Block) -> int:
        """Return what passes out of the model, likewise."""
        shift = self._problem.num_layers - block.num_layers
        rates = {
            s: self._problem.kinds[s.kind].rates.of(s.layers[0] + shift, s.layers[1] + shift)
            for s in block.stages
        }
        flow = sum(min(rates[s], self._link(s.host, COORDINATOR)) for s in block.ending)
        return min(self._wanted, flow) if min(rates.values()) else -self._wanted

    def _boundary(self, before: Sequence[PlacedStage], after: Sequence[PlacedStage]) -> int:
        out = sum(
            min(a.rate, sum(min(self._link(a.host, b.host), b.rate) for b in after)) for a in before
        )
        into = sum(
            min(b.rate, sum(min(self._link(a.host, b.host), a.rate) for a in before)) for b in after
        )
        return min(self._wanted, out, into)

    def _overload(self, blocks: Sequence[Block]) -> float:
        """Return what sites send beyond what their lines carry, over all boundaries together."""
        total = np.zeros_like(self._lines)
        for pair in zip((None, *blocks[:-1]), blocks, strict=True):
            if pair not in self._crossing:
                self._crossing[pair] = self._crossed(*pair)
            total += self._crossing[pair]
        return float(np.maximum(total - self._lines, 0.0).sum())

    def _crossed(self, before: Block | None, after: Block) -> NDArray[np.float64]:
        """Return what passes from site to site into a block and inside it, shares being even."""
        total = np.zeros_like(self._lines)
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
        block: Sequence[PlacedStage] = (),
    ) -> NDArray[np.float64]:
        """Return what passes from site to site where some stages end and others start.

        Parameters
        ----------
        block
            The stages that share the flow with them; nothing means that they take all of it.
        """
        shares = np.zeros((2, len(self._sites)))
        for row, stages in enumerate((ending, starting)):
            layer = stages[0].layers[1 - row] - (1 - row)
            beside = [s for s in block if s.layers[0] <= layer < s.layers[1]] or stages
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


def _lines_of(problem: Problem) -> tuple[dict[str, int], NDArray[np.float64]]:
    """Return the sites by number, and what the line from one to another carries for all hosts.

    In 1e-6 tokens/s, of shape (sites, sites); empty where not all pairs of sites share lines.
    """
    cluster, model = problem.spec.cluster, problem.spec.model
    first = {host.site: host.name for host in reversed(cluster.hosts)}
    sites = {site: position for position, site in enumerate(first)}
    lines = np.zeros((len(sites), len(sites)))
    for source, target in permutations(sites, 2):
        link = cluster.link(first[source], first[target])
        trunk = cluster.over(link).trunk_bytes_per_s if link is not None else None
        if link is not None and trunk is None:
            return sites, np.zeros((0, 0))
        per_token = token_bytes(model, first[source], first[target])
        lines[sites[source], sites[target]] = (trunk or 0) * MICRO / per_token
    return sites, lines if len(sites) > 1 else np.zeros((0, 0))
