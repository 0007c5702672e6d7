"""Steps of decodes as CUDA graphs: one for each bucket of rows and keys, made when first needed.

A step of decodes on a GPU is hundreds of small kernels, whose launches from Python take longer than
they do. A graph launches them at once. Other steps run one by one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor

from hexplan_runtime.model.kv_cache import Arena
from hexplan_runtime.model.step import BlockStep
from hexplan_runtime.runner.buckets import Bucket, BucketLimits, bucket_of
from hexplan_runtime.runner.own_layers import OwnLayers
from hexplan_runtime.runner.static_step import StaticStep

LIMITS: Final = BucketLimits(rows=64, keys=8192)
"""Beyond, kernels take longer than their launches."""
_WARMUPS: Final = 2
"""Runs before a capture, in which kernels are chosen and libraries get their memory."""


class GraphLayers:
    """Runs steps of decodes as graphs, and everything else with the layers it is given.

    Parameters
    ----------
    is_captured
        Whether steps are captured; without, layers run on the same padded buffers one by one.
    """

    def __init__(
        self,
        own: OwnLayers,
        arenas: Sequence[Arena],
        limits: BucketLimits = LIMITS,
        *,
        is_captured: bool = True,
    ) -> None:
        self._own = own
        self._arenas = arenas
        self._limits = limits
        self._is_captured = is_captured
        self._steps: dict[tuple[int, Bucket], StaticStep] = {}
        self._graphs: dict[tuple[int, Bucket], torch.cuda.CUDAGraph] = {}

    @property
    def buckets(self) -> frozenset[Bucket]:
        """The buckets that steps have been padded to so far."""
        return frozenset(bucket for _, bucket in self._steps)

    def embed(self, ids_T: Tensor) -> Tensor:
        """Return the tokens' embeddings."""
        return self._own.embed(ids_T)

    def logits(self, x_RH: Tensor) -> Tensor | None:
        """Return the logits on the leader, and None on other ranks."""
        return self._own.logits(x_RH)

    def run(self, block: int, x_TH: Tensor, step: BlockStep) -> None:
        """Bring the residual stream through a block of layers, in place."""
        longest = max(row.position + row.tokens for row in step.seen)
        is_decode = all(row.tokens == 1 for row in step.seen)
        bucket = bucket_of(len(x_TH), longest, self._limits) if is_decode else None
        if bucket is None:
            self._own.run(block, x_TH, step)
            return
        key = block, bucket
        if key not in self._steps:
            self._steps[key] = StaticStep(bucket, x_TH, step, self._arenas[block])
        static = self._steps[key]
        static.fill(x_TH, step)
        if self._is_captured:
            if key not in self._graphs:
                self._graphs[key] = self._capture(block, static)
                static.fill(x_TH, step)  # warming up has changed the stream
            self._graphs[key].replay()
        else:
            self._run(block, static)
        x_TH.copy_(static.x_TH[: len(x_TH)])

    def _capture(self, block: int, static: StaticStep) -> torch.cuda.CUDAGraph:
        stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(_WARMUPS):
                self._run(block, static)
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            self._run(block, static)
        return graph

    def _run(self, block: int, static: StaticStep) -> None:
        for layer in self._own.blocks[block]:
            layer(static.x_TH, static)
