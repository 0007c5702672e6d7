"""A flow, decomposed into routes, with the prices that prove it largest."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple

from hexplan.constants import MICRO
from hexplan.plan import CutTerm
from hexplan_solver.flow.network import OUTSIDE, Network, stage_name


class ArcEnds(NamedTuple):
    """The positions of the stages that an arc joins; `OUTSIDE` at entry and exit."""

    source: int
    target: int


@dataclass(frozen=True, slots=True)
class Path:
    """A chain of stages, by position, and the flow along it in 1e-6 tokens/s."""

    stages: tuple[int, ...]
    amount: int

    @property
    def arcs(self) -> list[ArcEnds]:
        """The arcs passed, from entry to exit."""
        return list(map(ArcEnds, (OUTSIDE, *self.stages), (*self.stages, OUTSIDE)))


def stage_term(network: Network, position: int) -> CutTerm:
    """Return a stage as a term of a plain cut, where every price is 1."""
    capacity = Decimal(network.stages[position].rate) / MICRO
    return CutTerm(constraint=f"stage:{stage_name(position)}", price=Decimal(1), capacity=capacity)


@dataclass(frozen=True, slots=True)
class Flow:
    """A flow on whole 1e-6 tokens/s, and its certificate."""

    value: int
    paths: tuple[Path, ...]
    """The flow, decomposed into paths."""
    cut: tuple[CutTerm, ...]
    """Prices that no flow can beat."""


FlowLeft = dict[int, dict[int, int]]
"""Flow that no path has taken yet, by the source and then the target of its arc."""


def paths_of(network: Network, arc_flows: Sequence[int]) -> tuple[Path, ...]:
    """Decompose a flow: take the widest path, of the fewest hops among equals, until none is left.

    What does not lead from entry to exit, such as what rounding left over, is dropped.
    """
    left: FlowLeft = defaultdict(dict)
    for arc, flow in zip(network.arcs, arc_flows, strict=True):
        if flow > 0:
            left[arc.source][arc.target] = flow
    paths: list[Path] = []
    while (path := _widest(network, left)) is not None:
        paths.append(path)
        for source, target in path.arcs:
            left[source][target] -= path.amount
            if left[source][target] == 0:
                del left[source][target]
    return tuple(sorted(paths, key=lambda p: (-p.amount, p.stages)))


def _widest(network: Network, left: FlowLeft) -> Path | None:
    """Return the path of the largest bottleneck, by dynamic programming along the layers."""
    # (width, -hops, stages) of the best way to each stage
    best: dict[int, tuple[int, int, tuple[int, ...]]] = {}
    for target, flow in left[OUTSIDE].items():
        best[target] = (flow, -1, (target,))
    found: tuple[int, int, tuple[int, ...]] | None = None
    for stage in sorted(range(len(network.stages)), key=lambda i: (network.stages[i].layers[1], i)):
        if stage not in best:
            continue
        width, hops, stages = best[stage]
        for target, flow in left[stage].items():
            reached = min(width, flow)
            if target == OUTSIDE:
                if found is None or (reached, hops) > found[:2]:
                    found = (reached, hops, stages)
                continue
            if target not in best or (reached, hops - 1) > best[target][:2]:
                best[target] = (reached, hops - 1, (*stages, target))
    return None if found is None else Path(found[2], found[0])
