"""The runtime's own layers, one after another; each is cut to the rank's shard."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from hexplan.field_types import Range
from hexplan_runtime.model.layers import DecoderLayer, Embedding, Head
from hexplan_runtime.model.linear import Rank
from hexplan_runtime.model.step import BlockStep


class OwnLayers:
    """Runs each step as it comes, for families whose layers the runtime has itself.

    Parameters
    ----------
    layers
        The stage's layers, `[first, end)`.
    blocks
        The same, cut where routes enter.
    vocab
        Rows of the output head on each rank of the team.
    """

    def __init__(
        self, rank: Rank, layers: Range, blocks: Sequence[Range], vocab: Sequence[Range]
    ) -> None:
        first, end = layers
        self._embedding = Embedding(rank) if first == 0 else None
        self.blocks = tuple(
            tuple(DecoderLayer(rank, layer) for layer in range(*block)) for block in blocks
        )
        """The layers of each block."""
        self._head = None
        if end == rank.model.layers:
            self._head = Head(rank, tuple(vocab), self._embedding)

    def embed(self, ids_T: Tensor) -> Tensor:
        """Return the tokens' embeddings."""
        assert self._embedding is not None
        return self._embedding(ids_T)

    def run(self, block: int, x_TH: Tensor, step: BlockStep) -> None:
        """Bring the residual stream through a block of layers, in place."""
        for layer in self.blocks[block]:
            layer(x_TH, step)

    def logits(self, x_RH: Tensor) -> Tensor | None:
        """Return the logits on the leader, and None on other ranks."""
        assert self._head is not None
        return self._head(x_RH)
