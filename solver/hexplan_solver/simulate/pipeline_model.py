"""The pipeline: the parts of a plan or a placement that are simulated."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from hexplan.cost.step_times import StepTimes
from hexplan.field_types import Range
from hexplan.plan import Phase
from hexplan_solver.flow.network import OUTSIDE

NO_LIMIT = 1 << 60
"""A whole number that no count reaches, where there is no limit."""


@dataclass(frozen=True, slots=True)
class StageModel:
    """A stage: how fast it is, and what it has room for."""

    name: str
    layers: Range
    steps: StepTimes
    kv_tokens: int
    """Tokens of context that it holds, by the memory formula."""
    measured_kv_tokens: int | None = None
    """The same as the profile has it."""
    max_prompts: int = NO_LIMIT
    """Prompts in one step, as the profile has it."""
    max_decode_tokens: int = NO_LIMIT
    """Tokens decoded in one step, as the profile has it."""
    phase: Phase = "both"
    """What it serves."""
    kv_move_s: float = 0.0
    """Seconds to move the KV of one token in one layer to host memory, or back."""


@dataclass(frozen=True, slots=True)
class EdgeModel:
    """A connection that requests use, by positions of stages; OUTSIDE is the coordinator."""

    source: int
    target: int
    bytes_per_s: float
    latency_s: float
    token_bytes: int
    weight: float
    """Flow over it, in any unit; only the shares count."""
    shared: tuple[int, ...] = ()
    """Positions in `PipelineModel.shared_bytes_per_s` of the NICs and trunks on the way."""


@dataclass(frozen=True, slots=True)
class RouteModel:
    """A chain of stages, by position."""

    stages: tuple[int, ...]
    weight: int
    """Whole, so that round robin never drifts."""
    decode_stages: tuple[int, ...] | None = None
    """The chain that decodes, where the other only prefills."""


@dataclass(frozen=True, slots=True)
class PipelineModel:
    """Stages, the edges between them, and the routes that requests take."""

    num_layers: int
    stages: tuple[StageModel, ...]
    edges: tuple[EdgeModel, ...]
    routes: tuple[RouteModel, ...]
    shared_bytes_per_s: tuple[float, ...] = ()
    activation_bytes: int = 0
    """Bytes of one token between two stages."""
    kv_edges: tuple[EdgeModel, ...] = ()
    """Connections from stages that prefill to stages that decode what they prefilled; `token_bytes`
    are those of the KV of one token in one layer."""
    context_tokens: int = 0
    """Mean context of a decode, by which micro-batches are sized."""

    @property
    def is_split(self) -> bool:
        """Whether prefill and decode have routes of their own."""
        return any(route.decode_stages is not None for route in self.routes)

    def of_prompts(self) -> PipelineModel:
        """Return the pipeline as prompts go through it."""
        return self._through([route.stages for route in self.routes])

    def of_decodes(self) -> PipelineModel:
        """Return the pipeline as decodes go through it."""
        return self._through([route.decode_stages or route.stages for route in self.routes])

    def _through(self, chains: Sequence[tuple[int, ...]]) -> PipelineModel:
        if not self.is_split:
            return self
        routes = zip(chains, self.routes, strict=True)
        return replace(self, routes=tuple(RouteModel(c, route.weight) for c, route in routes))


@dataclass(frozen=True, slots=True)
class KvMove:
    """Layers whose KV one stage prefills and another decodes."""

    source: int
    target: int
    layers: Range

    @property
    def num_layers(self) -> int:
        """How many they are."""
        return self.layers[1] - self.layers[0]


def hops_of(layers: Sequence[Range], chain: Sequence[int]) -> list[tuple[int, Range]]:
    """Return the stages of a chain with the layers that a request runs there, given the ranges."""
    enters = [0, *(layers[stage][1] for stage in chain[:-1])]
    return [(stage, (enter, layers[stage][1])) for stage, enter in zip(chain, enters, strict=True)]


def kv_moves(
    layers: Sequence[Range], prefill: Sequence[int], decode: Sequence[int]
) -> Iterator[KvMove]:
    """Yield what has to move between a chain that prefills and one that decodes."""
    for source, (first, end) in hops_of(layers, prefill):
        for target, (enter, leave) in hops_of(layers, decode):
            common = max(first, enter), min(end, leave)
            if source != target and common[0] < common[1]:
                yield KvMove(source, target, common)


@dataclass(frozen=True, slots=True)
class Topology:
    """Where edges lead, and where requests enter stages."""

    entries: tuple[tuple[int, ...], ...]
    """Per stage: the layers at which requests enter it, its first one among them."""
    targets: tuple[tuple[int, int], ...]
    """Per edge: the stage that it leads to, and which of the stage's entries."""
    leaving: tuple[tuple[int, ...], ...]
    """Per stage: the edges that leave it."""

    @classmethod
    def of(cls, pipeline: PipelineModel) -> Topology:
        """Work out the topology of a pipeline."""
        stages = range(len(pipeline.stages))
        entries = tuple(_entries(pipeline, stage) for stage in stages)
        return cls(
            entries,
            tuple(_target(pipeline, entries, edge) for edge in range(len(pipeline.edges))),
            tuple(
                tuple(n for n, edge in enumerate(pipeline.edges) if edge.source == stage)
                for stage in stages
            ),
        )


def _entries(pipeline: PipelineModel, stage: int) -> tuple[int, ...]:
    enters = {_enter_layer(pipeline, n) for n, e in enumerate(pipeline.edges) if e.target == stage}
    return tuple(sorted(enters | {pipeline.stages[stage].layers[0]}))


def _enter_layer(pipeline: PipelineModel, edge: int) -> int:
    source = pipeline.edges[edge].source
    return 0 if source == OUTSIDE else pipeline.stages[source].layers[1]


def _target(
    pipeline: PipelineModel, entries: tuple[tuple[int, ...], ...], edge: int
) -> tuple[int, int]:
    target = pipeline.edges[edge].target
    if target == OUTSIDE:
        return OUTSIDE, 0
    return target, entries[target].index(_enter_layer(pipeline, edge))
