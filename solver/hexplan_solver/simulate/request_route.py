"""Routes as the simulator follows them: which edges a request takes, and what KV it keeps."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from hexplan.schedule.kv_space import KvHold
from hexplan_solver.flow.network import OUTSIDE
from hexplan_solver.simulate.pipeline_model import PipelineModel, hops_of, kv_moves


@dataclass(frozen=True, slots=True, eq=False)
class PhaseRoute:
    """A chain of stages through all layers, by positions of edges; the same chain is one object."""

    entry: int
    """The edge that leads to its first stage."""
    next_edge: dict[int, int]
    """The edge that it takes from each stage."""


@dataclass(frozen=True, slots=True)
class KvSend:
    """KV that moves from a stage that prefills to one that decodes."""

    edge: int
    layers: int


@dataclass(frozen=True, slots=True)
class RequestRoute:
    """The route of a request; prompt and decodes take the same, unless the pipeline is split."""

    prefill: PhaseRoute
    decode: PhaseRoute
    holds: tuple[KvHold, ...]
    """One for each stage that it uses."""
    kv_sends: dict[int, tuple[KvSend, ...]]
    """Per stage from which its KV moves on."""

    @property
    def moved_layers(self) -> int:
        """Layers whose KV has to move."""
        return sum(hold.prompt_layers for hold in self.holds)


class RequestRoutes:
    """Routes by their stages; the same stages give the same object."""

    def __init__(self, pipeline: PipelineModel) -> None:
        self._layers = [stage.layers for stage in pipeline.stages]
        self._edges = {(e.source, e.target): i for i, e in enumerate(pipeline.edges)}
        kv_edges = enumerate(pipeline.kv_edges, len(pipeline.edges))
        self._kv_edges = {(e.source, e.target): i for i, e in kv_edges}
        self._known: dict[tuple[tuple[int, ...], tuple[int, ...]], RequestRoute] = {}
        self._chains: dict[tuple[int, ...], PhaseRoute] = {}

    def of(self, prefill: tuple[int, ...], decode: tuple[int, ...] | None = None) -> RequestRoute:
        """Return the route through some stages; without a second chain both phases take the first.

        Stages are given by position.
        """
        chains = prefill, decode or prefill
        if chains not in self._known:
            self._known[chains] = self._route(*chains)
        return self._known[chains]

    def _route(self, prefill: tuple[int, ...], decode: tuple[int, ...]) -> RequestRoute:
        kept = {stage: end - enter for stage, (enter, end) in hops_of(self._layers, decode)}
        sends: dict[int, list[KvSend]] = defaultdict(list)
        for move in kv_moves(self._layers, prefill, decode):
            edge = self._kv_edges[move.source, move.target]
            sends[move.source].append(KvSend(edge, move.num_layers))
        holds = tuple(
            KvHold(stage, kept.get(stage, 0), sum(send.layers for send in sends.get(stage, ())))
            for stage in dict.fromkeys((*prefill, *decode))
        )
        kv_sends = {stage: tuple(of_stage) for stage, of_stage in sends.items()}
        return RequestRoute(self._phase(prefill), self._phase(decode), holds, kv_sends)

    def _phase(self, chain: tuple[int, ...]) -> PhaseRoute:
        """Return a chain; its decodes share micro-batches, wherever they were prefilled."""
        if chain not in self._chains:
            self._chains[chain] = self._through(chain)
        return self._chains[chain]

    def _through(self, chain: tuple[int, ...]) -> PhaseRoute:
        steps = zip(chain, (*chain[1:], OUTSIDE), strict=True)
        next_edge = {source: self._edges[source, target] for source, target in steps}
        return PhaseRoute(self._edges[OUTSIDE, chain[0]], next_edge)
