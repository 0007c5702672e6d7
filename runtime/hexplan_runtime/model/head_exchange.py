"""The exchange of tokens for heads, around the attention of tokens that ranks share out (Ulysses).

Shapes: T tokens of the step, t tokens of this rank, W numbers of a token in all heads that it holds
weights of, w in the heads that it attends with.
"""

from __future__ import annotations

import torch
from torch import Tensor

from hexplan_runtime.model.linear import Rank
from hexplan_runtime.model.portions import Portions


class HeadExchange:
    """One layer's exchanges; every rank has equally many heads."""

    def __init__(self, rank: Rank) -> None:
        self._team = rank.team.exchange_group
        self._ranks = len(rank.held)

    def to_heads(self, x_tW: Tensor, portions: Portions) -> Tensor:
        """Return this rank's heads of all tokens, of all that it has of its own: `[T, w]`.

        Heads stand rank after rank along W.
        """
        sends = [part.contiguous() for part in x_tW.chunk(self._ranks, dim=1)]
        end = portions.ranges[-1][1]
        x_Tw = x_tW.new_empty(end, x_tW.shape[1] // self._ranks)
        self._team.exchange(sends, [x_Tw[slice(*part)] for part in portions.ranges])
        return x_Tw

    def to_tokens(self, x_Tw: Tensor, portions: Portions) -> Tensor:
        """Return all that it holds of this rank's tokens, of its own heads of all: `[t, W]`."""
        sends = [x_Tw[slice(*part)] for part in portions.ranges]
        receives = [torch.empty_like(sends[portions.rank]) for _ in sends]
        self._team.exchange(sends, receives)
        return torch.cat(receives, dim=1)
