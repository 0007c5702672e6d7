"""A flow, decomposed into routes, with the prices that prove it largest."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from hexplan.constants import MICRO
from hexplan.plan import CutTerm
from hexplan_solver.flow.network import OUTSIDE, Network, stage_name


@dataclass(frozen=True, slots=True)
class Path:
    """A chain of stages, by position, and the flow along it in 1e-6 tokens/s."""

    stages: tuple[int, ...]
    amount: int

    @property
    def steps(self) -> list[tuple[int, int]]:
        """(source, target) of each arc, from entry to exit."""
        return list(zip((OUTSIDE, *self.stages), (*self.stages, OUTSIDE), strict=True))


def stage_term(network: Network, position: int) -> CutTerm:
    """Return the term of a plain cut that a stage is."""
    capacity = Decimal(network.stages[position].rate) / MICRO
    return CutTerm(constraint=f"stage:{stage_name(position)}", price=Decimal(1), capacity=capacity)


@dataclass(frozen=True, slots=True)
class Flow:
    """A flow on whole 1e-6 tokens/s, and its certificate."""

    value: int
    paths: tuple[Path, ...]
    """The flow, decomposed."""
    cut: tuple[CutTerm, ...]
    """Prices that no flow can beat."""


def paths_of(network: Network, arc_flows: Sequence[int]) -> tuple[Path, ...]:
    """Take the widest path, fewest hops first among equals, until no flow is left.

    Whatever does not reach from entry to exit, such as what rounding left over, is dropped.
    """
    left = {
        (arc.source, arc.target): flow
        for arc, flow in zip(network.arcs, arc_flows, strict=True)
        if flow > 0
    }
    paths: list[Path] = []
    while (path := _widest(network, left)) is not None:
        paths.append(path)
        for step in path.steps:
            left[step] -= path.amount
            if left[step] == 0:
                del left[step]
    return tuple(sorted(paths, key=lambda p: (-p.amount, p.stages)))


def _widest(network: Network, left: dict[tuple[int, int], int]) -> Path | None:
    """Return the path of the largest bottleneck: dynamic programming along the layers."""
    after: dict[int, list[int]] = defaultdict(list)
    for source, target in left:
        after[source].append(target)
    # (width, -hops, chain) of the best way to each stage
    best: dict[int, tuple[int, int, tuple[int, ...]]] = {}
    for target in after[OUTSIDE]:
        best[target] = (left[OUTSIDE, target], -1, (target,))
    found: tuple[int, int, tuple[int, ...]] | None = None
    for stage in sorted(range(len(network.stages)), key=lambda i: (network.stages[i].layers[1], i)):
        if stage not in best:
            continue
        width, hops, chain = best[stage]
        for target in after[stage]:
            reached = min(width, left[stage, target])
            if target == OUTSIDE:
                if found is None or (reached, hops) > found[:2]:
                    found = (reached, hops, chain)
                continue
            if target not in best or (reached, hops - 1) > best[target][:2]:
                best[target] = (reached, hops - 1, (*chain, target))
    return None if found is None else Path(found[2], found[0])
