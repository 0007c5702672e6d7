"""Matrix products with a whole weight and with one shard of it, which is kept once.

Where oneDNN lays weights out, each shard has a layout of its own, and the whole product is made of
theirs. Elsewhere the shard is a view of the whole weight.

Shapes: T tokens, O outputs, I inputs, o and i those of the shard.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from hexplan_runtime.model.packed import Linear, can_pack


class SplitOutputs:
    """A weight whose shards hold outputs.

    Parameters
    ----------
    sizes
        Outputs of each shard, in the order of the rows.
    own
        Which shard is this rank's.
    """

    def __init__(
        self, weight_OI: Tensor, bias_O: Tensor | None, sizes: Sequence[int], own: int
    ) -> None:
        weights = torch.split(weight_OI, list(sizes))
        biases = [None] * len(weights) if bias_O is None else torch.split(bias_O, list(sizes))
        self._whole: Linear | None = None
        self._shards: tuple[Linear, ...] = ()
        if all(map(can_pack, weights)):
            self._shards = tuple(map(Linear, weights, biases))
            self.own = self._shards[own]
        else:
            self._whole = Linear(weight_OI, bias_O, may_pack=False)
            self.own = Linear(weights[own], biases[own], may_pack=False)

    def __call__(self, x_TI: Tensor) -> Tensor:
        """Return all outputs: `[T, O]`."""
        if self._whole is not None:
            return self._whole(x_TI)
        return torch.cat([shard(x_TI) for shard in self._shards], dim=-1)


class SplitInputs:
    """A weight without a bias whose shards hold inputs.

    Parameters
    ----------
    sizes
        Inputs of each shard, in the order of the columns.
    own
        Which shard is this rank's.
    """

    def __init__(self, weight_OI: Tensor, sizes: Sequence[int], own: int) -> None:
        weights = torch.split(weight_OI, list(sizes), dim=1)
        self._sizes = list(sizes)
        self._whole: Linear | None = None
        self._shards: tuple[Linear, ...] = ()
        if all(map(can_pack, weights)):
            self._shards = tuple(map(Linear, weights))
            self.own = self._shards[own]
        else:
            self._whole = Linear(weight_OI, may_pack=False)
            self.own = Linear(weights[own], may_pack=False)

    def __call__(self, x_TI: Tensor) -> Tensor:
        """Return the product with all inputs: `[T, O]`."""
        if self._whole is not None:
            return self._whole(x_TI)
        first, *rest = torch.split(x_TI, self._sizes, dim=-1)
        total = self._shards[0](first)
        for shard, x_Ti in zip(self._shards[1:], rest, strict=True):
            total += shard(x_Ti)
        return total
