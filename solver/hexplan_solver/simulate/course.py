"""Courses: the way that a request takes, and what it keeps on it."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from hexplan_solver.flow.network import OUTSIDE
from hexplan_solver.simulate.pipeline import Pipeline, hops_of, kv_moves


@dataclass(frozen=True, slots=True)
class Leg:
    """A way through all layers, by positions of edges."""

    entry: int
    """The edge that leads to its first stage."""
    after: dict[int, int]
    """The edge that it takes from each stage."""


@dataclass(frozen=True, slots=True)
class Held:
    """The layers of which a request keeps KV in one stage."""

    stage: int
    layers: int
    """Layers that it decodes there, kept to its end."""
    lent: int
    """Layers that only its prompt runs there, kept until their KV has moved."""


@dataclass(frozen=True, slots=True)
class Course:
    """A request's way; prompt and decodes take the same, unless the pipeline is split."""

    prefill: Leg
    decode: Leg
    held: tuple[Held, ...]
    """One for each stage that it uses."""
    moves: dict[int, tuple[tuple[int, int], ...]]
    """Per stage from which its KV moves on: over which edges, and of how many layers."""

    @property
    def lent_layers(self) -> int:
        """Layers whose KV has to move."""
        return sum(held.lent for held in self.held)


class Courses:
    """Courses by their stages; there is one object for each."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._layers = [stage.layers for stage in pipeline.stages]
        self._edges = {(e.source, e.target): i for i, e in enumerate(pipeline.edges)}
        kv_edges = enumerate(pipeline.kv_edges, len(pipeline.edges))
        self._kv_edges = {(e.source, e.target): i for i, e in kv_edges}
        self._known: dict[tuple[tuple[int, ...], tuple[int, ...]], Course] = {}

    def of(self, prefill: tuple[int, ...], decode: tuple[int, ...] | None = None) -> Course:
        """Return the course through some stages, the same for both phases if there is one chain."""
        chains = prefill, decode or prefill
        if chains not in self._known:
            self._known[chains] = self._course(*chains)
        return self._known[chains]

    def _course(self, prefill: tuple[int, ...], decode: tuple[int, ...]) -> Course:
        kept = {stage: end - enter for stage, (enter, end) in hops_of(self._layers, decode)}
        moves: dict[int, list[tuple[int, int]]] = defaultdict(list)
        for move in kv_moves(self._layers, prefill, decode):
            moves[move.source].append((self._kv_edges[move.source, move.target], move.layers))
        stages = dict.fromkeys((*prefill, *decode))
        return Course(
            self._leg(prefill),
            self._leg(decode),
            tuple(Held(s, kept.get(s, 0), sum(n for _, n in moves.get(s, ()))) for s in stages),
            {stage: tuple(ways) for stage, ways in moves.items()},
        )

    def _leg(self, chain: tuple[int, ...]) -> Leg:
        steps = zip(chain, (*chain[1:], OUTSIDE), strict=True)
        after = {source: self._edges[source, target] for source, target in steps}
        return Leg(self._edges[OUTSIDE, chain[0]], after)
