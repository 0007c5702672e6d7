"""One rank's part of a stage: it runs a batch through its layers.

A request may enter a stage inside its range. The rows of a batch stand in the order of the layer
where they enter, so the rows that a layer runs are always the first ones.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from hexplan.model import Model
from hexplan.plan import Plan
from hexplan.plan import Stage as PlannedStage
from hexplan_runtime.batch import Batch
from hexplan_runtime.model.architecture import Architecture
from hexplan_runtime.model.attention import Span, StepContext
from hexplan_runtime.model.kv_cache import KvCache
from hexplan_runtime.model.layers import DecoderLayer, Embedding, Head, read_head_weight
from hexplan_runtime.model.linear import Rank

DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}


def torch_dtype(model: Model) -> torch.dtype:
    """Return the type of weights, activations and KV cache."""
    return DTYPES[model.dtype]


def enter_layers(plan: Plan, stage: str) -> tuple[int | None, ...]:
    """Return, for each route, the layer where it enters the stage; None if it does not use it."""
    return tuple(
        next((hop.enter_layer for hop in route.hops if hop.stage == stage), None)
        for route in plan.routes
    )


@dataclass(frozen=True, slots=True)
class Output:
    """What comes out of a stage: activations, and in the last stage logits."""

    hidden: Tensor
    logits: Tensor | None
    """One row for each row that samples, on the leader of a last stage."""


class Stage:
    """The layers of one rank, with the KV cache of the requests that are here."""

    def __init__(self, plan: Plan, stage: PlannedStage, rank: Rank) -> None:
        first, end = stage.layers
        self._end = end
        self._enter_layers = enter_layers(plan, stage.id)
        self._rotary = _Rotary(rank.architecture, torch_dtype(plan.model))
        kv_first, kv_end = rank.shard.kv_heads
        self._cache = KvCache(
            stage.kv_tokens, kv_end - kv_first, plan.model.head_dim, torch_dtype(plan.model)
        )
        self._embedding = Embedding(rank) if first == 0 else None
        self._layers = tuple(DecoderLayer(rank, layer) for layer in range(first, end))
        self._head = self._read_head(rank, stage) if end == plan.model.layers else None

    @property
    def has_head(self) -> bool:
        """Whether it ends in the output head."""
        return self._head is not None

    def enter_layer(self, route: int) -> int:
        """Return the layer where requests of this route enter the stage."""
        layer = self._enter_layers[route]
        assert layer is not None
        return layer

    @torch.inference_mode()
    def run(self, batch: Batch) -> Output:
        """Run a batch through the stage, then free what its closing rows held."""
        spans = self._open(batch)
        hidden = self._run_layers(self._enter(batch), spans)
        logits = self._logits(hidden, spans)
        for row in batch.rows:
            if row.closes:
                self._cache.close(row.request)
        return Output(hidden, logits)

    def _open(self, batch: Batch) -> tuple[Span, ...]:
        """Reserve cache for each request, and give each row its place along the batch."""
        spans, first = [], 0
        for row in batch.rows:
            if row.tokens:
                layers = self.enter_layer(row.route), self._end
                self._cache.open(row.request, layers, row.context_tokens)
                spans.append(Span(row, first, first + row.tokens))
                first += row.tokens
        return tuple(spans)

    def _enter(self, batch: Batch) -> Tensor:
        """Return the activations that the batch enters with."""
        parts = []
        if batch.token_ids is not None:
            assert self._embedding is not None
            parts.append(self._embedding(batch.token_ids))
        if batch.hidden is not None:
            parts.append(batch.hidden)
        return torch.cat(parts) if parts else torch.empty(0, 0)

    def _run_layers(self, x_TH: Tensor, spans: tuple[Span, ...]) -> Tensor:
        if not spans:
            return x_TH
        entries = [self.enter_layer(span.row.route) for span in spans]
        cos, sin = self._rotary(spans)
        for layer in self._layers:
            active = sum(entry <= layer.index for entry in entries)
            if active == len(spans):
                x_TH = layer(x_TH, StepContext(spans, cos, sin, self._cache))
            elif active:
                end = spans[active - 1].end
                step = StepContext(spans[:active], cos[:end], sin[:end], self._cache)
                x_TH = torch.cat((layer(x_TH[:end], step), x_TH[end:]))
        return x_TH

    def _logits(self, x_TH: Tensor, spans: tuple[Span, ...]) -> Tensor | None:
        last = [span.end - 1 for span in spans if span.row.samples]
        return self._head(x_TH[last]) if self._head is not None and last else None

    def _read_head(self, rank: Rank, stage: PlannedStage) -> Head:
        weight = read_head_weight(rank, self._embedding)
        return Head(rank, weight, tuple(shard.vocab for shard in stage.shards))


class _Rotary:
    """The angles by which queries and keys are turned, for each position."""

    def __init__(self, architecture: Architecture, dtype: torch.dtype) -> None:
        self._frequencies = torch.tensor(architecture.rotary_frequencies, dtype=torch.float32)
        self._scale = architecture.rotary_scale
        self._dtype = dtype

    def __call__(self, spans: tuple[Span, ...]) -> tuple[Tensor, Tensor]:
        """Return cosine and sine for the tokens of these rows: `[T, 1, E]` each."""
        positions = [
            torch.arange(span.row.position, span.row.position + span.row.tokens) for span in spans
        ]
        angles = torch.cat(positions)[:, None].float() * self._frequencies
        angles = torch.cat((angles, angles), dim=-1)[:, None]
        return (
            (angles.cos() * self._scale).to(self._dtype),
            (angles.sin() * self._scale).to(self._dtype),
        )
