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
from hexplan_runtime.model.kv_cache import KvCache, KvShape, blocks_of
from hexplan_runtime.model.linear import Rank
from hexplan_runtime.model.rotary import RotaryTable
from hexplan_runtime.model.step import BlockStep, Span, spans_of, turns_of
from hexplan_runtime.request import Logprobs
from hexplan_runtime.runner.choose import choose_runner
from hexplan_runtime.runner.device import brought
from hexplan_runtime.runner.kv_offload.host_link import HostLink
from hexplan_runtime.runner.kv_offload.offload_arena import make_arena
from hexplan_runtime.runner.kv_offload.offloaded_layers import OffloadedLayers
from hexplan_runtime.runner.varlen import reads_of
from hexplan_runtime.stage.logprobs import prompt_logprobs_of

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


def hops_of(plan: Plan, stage: str) -> tuple[int, ...]:
    """Return, for each route, which of its hops the stage is; -1 if it does not use it."""
    chains = [[hop.stage for hop in route.hops] for route in plan.routes]
    return tuple(chain.index(stage) if stage in chain else -1 for chain in chains)


@dataclass(frozen=True, slots=True)
class Output:
    """What comes out of a stage: activations, and in the last stage logits."""

    hidden: Tensor
    logits: Tensor | None
    """One row for each row that samples, on the leader of a last stage."""
    prompt_logprobs: tuple[tuple[Logprobs, ...], ...] = ()
    """One a row of the batch, likewise, where a row asks for them; else nothing."""


class Stage:
    """The layers of one rank, with the KV cache of the requests that are here."""

    def __init__(self, plan: Plan, stage: PlannedStage, rank: Rank) -> None:
        self._device = torch.get_default_device()
        self._id = stage.id
        self._enter_layers = enter_layers(plan, stage.id)
        self._hops = hops_of(plan, stage.id)
        """Which hop of each route the stage is."""
        architecture, dtype = rank.architecture, torch_dtype(plan.model)
        self._rotary = RotaryTable(architecture.rotary_frequencies, architecture.rotary_scale)
        kv_first, kv_end = rank.shard.kv_heads
        kv_shape = KvShape(kv_end - kv_first, plan.model.head_dim, dtype)
        blocks = blocks_of(stage.layers, self._enter_layers)
        self._cache = KvCache(blocks, stage.room_tokens, kv_shape, make_arena(stage.kv_offload))
        self._hidden, self._dtype = plan.model.hidden, dtype
        self._runner = choose_runner(rank, stage, self._cache)
        self.has_head = stage.layers[1] == plan.model.layers
        """Whether it ends in the output head."""

    def reroute(self, plan: Plan) -> None:
        """Take a plan with more routes, which enter this stage where others do."""
        self._hops = hops_of(plan, self._id)
        self._enter_layers = enter_layers(plan, self._id)

    @property
    def kv_bytes(self) -> int:
        """Bytes of this rank's KV cache."""
        return sum(arena.num_bytes for arena in self._cache.arenas)

    @property
    def host_link(self) -> HostLink | None:
        """What it fetches keys and values over from host memory; None if it has none there."""
        return self._runner.link if isinstance(self._runner, OffloadedLayers) else None

    def enter_layer(self, route: int) -> int:
        """Return the layer where requests of this route enter the stage."""
        layer = self._enter_layers[route]
        assert layer is not None
        return layer

    @torch.inference_mode()
    def run(self, batch: Batch) -> Output:
        """Run a batch through the stage, then free what its closing rows no longer need."""
        if self._device.type != "cpu":
            with self._device:
                output = self._run(brought(batch, self._device))
            logits = None if output.logits is None else output.logits.cpu()
            return Output(output.hidden.cpu(), logits, output.prompt_logprobs)
        return self._run(batch)

    def _run(self, batch: Batch) -> Output:
        spans = self._open(batch)
        x_TH = self._enter(batch)
        if spans:
            self._run_layers(x_TH, spans)
        logits = self._logits(x_TH, spans)
        told = self._prompt_logprobs(batch, x_TH, spans)
        for row in batch.rows:
            if row.closes:
                self._cache.close(row.request, stays=row.position)
            elif row.stows:
                self._cache.stow(row.request, row.position)
        return Output(x_TH, logits, told)

    def _open(self, batch: Batch) -> tuple[Span, ...]:
        """Reserve cache for each request, and give each row its place along the batch."""
        spans = spans_of(batch.rows)
        for span in spans:
            row = span.row
            enter_layer = self.enter_layer(row.route)
            is_new = self._cache.open(row.request, enter_layer, row.context_tokens)
            if row.fetches:
                self._cache.fetch(row.request)
            elif is_new and row.prefix.tokens:
                source = row.prefix.sources[self._hops[row.route]]
                self._cache.copy(source, row.request, row.prefix.tokens)
        return spans

    def _enter(self, batch: Batch) -> Tensor:
        """Return the activations that the batch enters with, which the layers may overwrite."""
        x_TH = torch.empty(batch.tokens, self._hidden, dtype=self._dtype)
        embedded = 0
        if batch.token_ids is not None:
            embedded = len(batch.token_ids)
            x_TH[:embedded] = self._runner.embed(batch.token_ids)
        if batch.hidden is not None:
            x_TH[embedded:] = batch.hidden
        return x_TH

    def _run_layers(self, x_TH: Tensor, spans: tuple[Span, ...]) -> None:
        """Bring the rows through the layers from where they enter, in place."""
        entries = [self.enter_layer(span.row.route) for span in spans]
        turns_T1C = turns_of(spans, self._rotary)
        for block, arena in enumerate(self._cache.arenas):
            active = sum(entry <= arena.layers[0] for entry in entries)
            if active:
                step = BlockStep(spans[:active], turns_T1C, arena, reads_of)
                self._runner.run(block, x_TH[: step.tokens], step)

    def _logits(self, x_TH: Tensor, spans: tuple[Span, ...]) -> Tensor | None:
        last = [span.end - 1 for span in spans if span.row.samples]
        return self._runner.logits(x_TH[last]) if self.has_head and last else None

    def _prompt_logprobs(
        self, batch: Batch, x_TH: Tensor, spans: tuple[Span, ...]
    ) -> tuple[tuple[Logprobs, ...], ...]:
        if not self.has_head:
            return ()
        told = prompt_logprobs_of(self._runner.logits, x_TH, spans)
        if not any(told):
            return ()
        each = iter(told)
        return tuple(next(each) if row.tokens else () for row in batch.rows)
