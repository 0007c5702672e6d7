"""A few layers and the output head of one rank, run as a stage of the runtime runs them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import torch
from torch import Tensor

from hexplan.field_types import Range
from hexplan_runtime.batch import Row
from hexplan_runtime.measure.clock import clock_of
from hexplan_runtime.measure.equal_shard import equal_shard
from hexplan_runtime.measure.host_fetch import host_fetch
from hexplan_runtime.measure.messages import RankOrder, RankTask
from hexplan_runtime.measure.sample import OVERLAP, Point
from hexplan_runtime.measure.served_rows import rows_of
from hexplan_runtime.measure.step_timer import StepTimer
from hexplan_runtime.model.kv_cache import KvCache, KvShape
from hexplan_runtime.model.layers import DecoderLayer, Head
from hexplan_runtime.model.linear import Rank
from hexplan_runtime.model.rotary import RotaryTable
from hexplan_runtime.model.step import BlockStep, spans_of, turns_of
from hexplan_runtime.model.weights import WeightsReader
from hexplan_runtime.net.team import Team
from hexplan_runtime.net.wire import WireFormat
from hexplan_runtime.request import GREEDY
from hexplan_runtime.stage.messages import launch_mark
from hexplan_runtime.stage.sampling import sample
from hexplan_runtime.stage.stage import torch_dtype

_SEED = 0
"""Every run of a point gets the same numbers."""


@dataclass(frozen=True, slots=True)
class _Ran:
    """How long a step took."""

    first_s: float
    """Of its first layer, with what the step works out once."""
    layer_s: float
    """Of each other layer, in the mean."""


class LayerTimer:
    """Times steps of some layers; their inputs are random, as no value changes the time."""

    def __init__(self, task: RankTask, team: Team) -> None:
        shard = equal_shard(task.model, task.rank, task.size)
        dtype = torch_dtype(task.model)
        with _DeviceWeights(Path(task.model_folder), dtype, task.kind) as weights:
            rank = Rank(task.model, task.architecture, shard, team, weights)
            layers = tuple(DecoderLayer(rank, layer) for layer in range(*task.layers))
            shards = (equal_shard(task.model, index, task.size) for index in range(task.size))
            self._head = Head(rank, tuple(shard.vocab for shard in shards), None)
        self._first, self._layers = layers[0], layers[1:] or layers
        """What a step begins with, and the layers that are timed."""
        self._range = task.layers
        self._clock = clock_of(task.kind, team)
        self._team = team
        self._sums = team.lane_sums() if task.size > 1 else None
        self._model, self._dtype = task.model, dtype
        frequencies, scale = task.architecture.rotary_frequencies, task.architecture.rotary_scale
        self._rotary = RotaryTable(frequencies, scale)
        kv_heads = shard.kv_heads[1] - shard.kv_heads[0]
        self._kv_shape, self._kind = KvShape(kv_heads, self._model.head_dim, dtype), task.kind
        wire = WireFormat(launch_mark(task.nonce), task.model.hidden, dtype)
        self._step_timer = StepTimer(task.kind, team, wire, Path(task.meeting_folder))

    @torch.inference_mode()
    def times_s(self, order: RankOrder) -> tuple[float, ...]:
        """Return the seconds of each timed run of one layer, or of the output head.

        The ranks begin each run together.
        """
        time_s = self._timed(order.point)
        times = []
        for index in range(order.warmups + order.repeats):
            self._team.sum(torch.zeros(1))
            seconds = time_s()
            if index >= order.warmups:
                times.append(seconds)
        return tuple(times)

    @torch.inference_mode()
    def keep_busy(self, points: Sequence[Point]) -> NoReturn:
        """Run steps of layers one after the other without end."""
        steps = [self._step(point) for point in points]
        while True:
            for step in steps:
                self._team.sum(torch.zeros(1))
                step()

    def _timed(self, point: Point) -> Callable[[], float]:
        """Return what runs a point, and says how long one layer took, or what else is timed."""
        if point.phase == "step":
            return self._between_steps(point)
        if point.phase == "head":
            head = self._head_step(point)
            return lambda: self._clock(head)
        if point.phase == "fetch":
            fetch = host_fetch(self._kv_shape, point.tokens, self._kind)
            return lambda: self._clock(fetch)
        if point.phase in OVERLAP:
            overlap = self._overlap(point)
            return lambda: self._clock(overlap) / len(self._layers)
        step = self._step(point)
        return lambda: step().layer_s

    def _head_step(self, point: Point) -> Callable[[], object]:
        """Return a run of the output head, with sampling where the logits are."""
        torch.manual_seed(_SEED)
        rows = [
            Row(request, 0, 0, 1, point.context, GREEDY, samples=True)
            for request in range(point.tokens)
        ]
        x_TH = torch.randn(point.tokens, self._model.hidden).to(self._dtype)

        def run() -> None:
            logits = self._head(x_TH)
            if logits is not None:
                sample(logits, rows)

        return run

    def _between_steps(self, point: Point) -> Callable[[], float]:
        """Return a run of the layers, of which all is timed that another layer would not add."""
        step = self._step(point)
        rows = rows_of(point, self._model.max_context)
        cache = self._filled_cache(rows)

        def time_s() -> float:
            ran = step()
            extra_s = max(0.0, ran.first_s - ran.layer_s)
            return extra_s + self._step_timer.time_s(rows, cache, self._rotary)

        return time_s

    def _step(self, point: Point) -> Callable[[], _Ran]:
        """Return a run of the layers over requests whose earlier keys and values are in place."""
        x_TH, step = self._prepared(point)

        def run() -> _Ran:
            y_TH, begun = x_TH.clone(), list[BlockStep]()

            def begin() -> None:
                begun.append(step())
                self._first(y_TH, begun[0])

            first_s = self._clock(begin)
            layers_s = self._clock(lambda: self._run(y_TH, begun[0]))
            return _Ran(first_s, layers_s / len(self._layers))

        return run

    def _prepared(self, point: Point) -> tuple[Tensor, Callable[[], BlockStep]]:
        """Return the tokens of a step, and what works out where they stand, as each step does."""
        torch.manual_seed(_SEED)
        rows = rows_of(point, self._model.max_context)
        cache = self._filled_cache(rows)
        spans = spans_of(rows)
        x_TH = torch.randn(point.tokens, self._model.hidden).to(self._dtype)
        turns_T1C = turns_of(spans, self._rotary)
        return x_TH, lambda: BlockStep(spans, turns_T1C, cache.arenas[0])

    def _overlap(self, point: Point) -> Callable[[], object]:
        """Return a run of the layers without their sums, of as many sums, or of both at once.

        What is summed up stands for the other lane, so no half of a layer waits for it.
        """
        x_TH, step = self._prepared(point)
        sums = None if point.phase == "alone" else self._sums

        def run() -> None:
            halves = None if point.phase == "sums" else self._halves(x_TH, step())
            for _ in range(2 * len(self._layers)):
                under_way = None if sums is None else sums.start(x_TH.clone())
                if halves is not None:
                    next(halves)
                if under_way is not None:
                    under_way.result()

        return run

    def _halves(self, x_TH: Tensor, step: BlockStep) -> Iterator[Tensor]:
        """Yield what attention and the feed-forward network of each layer give, without its sum."""
        for layer in self._layers:
            for inner, projection in layer.halves(x_TH, step):
                yield projection.part(inner)

    def _run(self, x_TH: Tensor, step: BlockStep) -> Tensor:
        for layer in self._layers:
            layer(x_TH, step)
        return x_TH

    def _filled_cache(self, rows: Sequence[Row]) -> KvCache:
        """Return a cache full of random values: pages that were never written would be slower."""
        room = sum(row.context_tokens for row in rows)
        cache = KvCache((self._range,), room, self._kv_shape)
        for row in rows:
            cache.open(row.request, self._range[0], row.context_tokens)
        for layer in range(*self._range):
            for x_GSE in cache.arenas[0].layer(layer):
                x_GSE.normal_()
        return cache


class _DeviceWeights(WeightsReader):
    """Reads weights onto the device that is measured."""

    def __init__(self, folder: Path, dtype: torch.dtype, kind: str) -> None:
        super().__init__(folder, dtype)
        self._kind = kind

    def read(self, name: str, shape: tuple[int, ...], *cut: Range) -> Tensor:
        """Return a part of a weight, on the device."""
        return super().read(name, shape, *cut).to(self._kind)
