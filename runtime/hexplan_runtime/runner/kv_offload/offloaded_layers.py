"""Layers whose keys and values are in host memory, each fetched for while the one before runs.

InfiniGen (OSDI 2024): what the residual stream is before a layer tells nearly what the queries of
the next one will be. So while a layer runs, what matters to the next one is on its way.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from torch import Tensor

from hexplan.techniques import KvOffload
from hexplan_runtime.model.kv_cache import KvCache
from hexplan_runtime.model.layers import DecoderLayer
from hexplan_runtime.model.step import BlockStep
from hexplan_runtime.runner.kv_offload.host_link import HostLink
from hexplan_runtime.runner.kv_offload.offload_arena import OffloadArena
from hexplan_runtime.runner.kv_offload.offloaded_step import Fetching, OffloadedStep
from hexplan_runtime.runner.kv_offload.pages import Scores, bounded
from hexplan_runtime.runner.own_layers import OwnLayers


class OffloadedLayers:
    """Runs each step as it comes, and fetches ahead what its decodes need.

    Parameters
    ----------
    windows
        How many positions a token sees in each layer of the model; None means all.
    scores
        What tells pages that matter from others.
    """

    def __init__(
        self,
        own: OwnLayers,
        cache: KvCache,
        how: KvOffload,
        link: HostLink,
        windows: Sequence[int | None],
        scores: Scores = bounded,
    ) -> None:
        self._own, self._how = own, how
        (arena,) = cache.arenas
        self._arena = cast("OffloadArena", arena)
        self.fetching = Fetching(how.fraction, link, windows, scores)
        """How it fetches."""

    @property
    def link(self) -> HostLink:
        """What keys and values come over."""
        return self.fetching.link

    def embed(self, ids_T: Tensor) -> Tensor:
        """Return the tokens' embeddings."""
        return self._own.embed(ids_T)

    def logits(self, x_RH: Tensor) -> Tensor | None:
        """Return the logits on the leader, and None on other ranks."""
        return self._own.logits(x_RH)

    def run(self, block: int, x_TH: Tensor, step: BlockStep) -> None:
        """Bring the residual stream through a block of layers, in place."""
        offloaded = OffloadedStep(step, self._arena, self.fetching)
        layers = self._own.blocks[block]
        for layer, ahead in zip(layers, (*layers[1:], None), strict=True):
            if ahead is None or ahead.index < self._how.from_layer or not len(offloaded.decodes_R):
                layer(x_TH, offloaded)
                continue
            offloaded.need(ahead.index, self._foreseen(ahead, x_TH, offloaded))
            layer(x_TH, offloaded)
            offloaded.fetch(ahead.index)

    def _foreseen(
        self, ahead: DecoderLayer, x_TH: Tensor, offloaded: OffloadedStep
    ) -> Tensor | None:
        """Return about what queries decodes will have in the next layer; None if all is fetched."""
        if self._how.fraction == 1:
            return None
        at_R = offloaded.decodes_R
        return ahead.queries(x_TH[at_R], offloaded.turns_T1C[at_R])
