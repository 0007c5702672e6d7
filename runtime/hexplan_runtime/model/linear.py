"""Projections and norms. Each rank reads only the part of the weights that its shard names.

Shapes: T tokens, H hidden width.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from hexplan.field_types import Range
from hexplan.model import Model
from hexplan.plan import Shard
from hexplan_runtime.model.architecture import Architecture
from hexplan_runtime.model.packed import Linear
from hexplan_runtime.model.rotary import pair_channels
from hexplan_runtime.model.split_linear import SplitInputs, SplitOutputs
from hexplan_runtime.model.weights import WeightsReader
from hexplan_runtime.net.team import Team


@dataclass(frozen=True, slots=True)
class Rank:
    """What one rank builds its layers from."""

    model: Model
    """The model as its folder has it."""
    architecture: Architecture
    shard: Shard
    team: Team
    weights: WeightsReader
    peers: tuple[Shard, ...] = ()
    """The shards of all ranks that it exchanges tokens with, where it holds these, too."""
    shifts: bool = False
    """Whether it has peers and some steps run on its own shard alone."""

    @property
    def held_model(self) -> Model:
        """The model as the ranks of the team hold it: some KV heads several times, if need be."""
        return self.model.as_held_by(self.team.size)

    @property
    def held(self) -> tuple[Shard, ...]:
        """The shards that this rank's layers are made of, in the order of heads and channels."""
        return self.peers or (self.shard,)

    @property
    def own_index(self) -> int:
        """Which of the shards that it holds is its own."""
        return self.team.exchange_group.rank if self.peers else 0


@dataclass(frozen=True, slots=True)
class Projection:
    """One matrix of the model, and the part of its split dimension that a rank holds."""

    name: str
    """Name of its weights, without `.weight` or `.bias`."""
    size: int
    """Length of the split dimension: outputs of a column-parallel one, inputs of a row-parallel."""
    part: Range
    """What this rank holds of it, `[first, end)`."""
    has_bias: bool
    head_dim: int | None = None
    """Width of its heads, if they are turned by their position."""


class RmsNorm:
    """Root-mean-square norm over the last dimension."""

    def __init__(self, weight: Tensor, epsilon: float) -> None:
        self._weight = weight
        self._epsilon = epsilon

    def __call__(self, x: Tensor) -> Tensor:
        """Return x normalised and scaled."""
        return F.rms_norm(x, x.shape[-1:], eps=self._epsilon).mul_(self._weight)


class ColumnParallel:
    """Projections of the same input, all with a bias or none.

    A rank with peers holds their outputs too, shard after shard, so that those of its own shard are
    rows of one weight, next to each other.

    Parameters
    ----------
    shards
        For each shard that the rank holds, its part of all projections.
    """

    def __init__(self, rank: Rank, shards: Sequence[Sequence[Projection]]) -> None:
        weights, biases = [], []
        for projection in (part for shard in shards for part in shard):
            shape = projection.size, rank.model.hidden
            weights.append(_read(rank, projection, "weight", shape))
            if projection.has_bias:
                biases.append(_read(rank, projection, "bias", shape[:1]))
        self.widths = tuple(sum(_length(part.part) for part in shard) for shard in shards)
        """Outputs of each shard."""
        weight, bias = torch.cat(weights), torch.cat(biases) if biases else None
        self._whole: Linear | SplitOutputs
        if rank.shifts:
            self._whole = SplitOutputs(weight, bias, self.widths, rank.own_index)
            self._own = self._whole.own
        else:
            self._whole = self._own = Linear(weight, bias)

    def __call__(self, x_TH: Tensor, *, of_whole: bool = False) -> Tensor:
        """Return the outputs of this rank's shard, or of all that it holds, side by side."""
        return self._whole(x_TH) if of_whole else self._own(x_TH)


class RowParallel:
    """A projection; of ranks that hold their shards alone, only the leader adds a bias.

    A rank with peers holds their inputs too, of which those of its own shard are columns next to
    each other. Where ranks with the same tokens add up their outputs, each then adds the bias.

    Parameters
    ----------
    shards
        For each shard that the rank holds, its part of the projection.
    """

    def __init__(self, rank: Rank, shards: Sequence[Projection]) -> None:
        own, hidden = shards[rank.own_index], rank.model.hidden
        held = shards[0].part[0], shards[-1].part[1]
        self._team = rank.team
        bias = None
        if own.has_bias and (rank.peers or rank.team.is_leader):
            bias = rank.weights.read(f"{own.name}.bias", (hidden,))
        weight = rank.weights.read(f"{own.name}.weight", (hidden, own.size), (0, hidden), held)
        self._token_group = rank.team.token_group if rank.peers else None
        self._bias_H: Tensor | None = None
        self._whole: Linear | SplitInputs
        if rank.shifts:
            widths = [_length(shard.part) for shard in shards]
            self._whole = SplitInputs(weight, widths, rank.own_index)
            self._own, self._bias_H = self._whole.own, bias
        elif self._token_group is not None:
            self._whole = self._own = Linear(weight)
            self._bias_H = bias
        else:
            self._whole = self._own = Linear(weight, bias)

    def __call__(self, x: Tensor, *, of_whole: bool = False) -> Tensor:
        """Return the outputs: of all inputs of its own tokens, or the same on every rank."""
        y = self._of_held(x) if of_whole else self._team.sum(self._own(x))
        return y if self._bias_H is None else y.add_(self._bias_H)

    def part(self, x: Tensor) -> Tensor:
        """Return this rank's part of the outputs, which a tensor-parallel team sums up."""
        return self._own(x)

    def _of_held(self, x: Tensor) -> Tensor:
        y = self._whole(x)
        return y if self._token_group is None or not y.numel() else self._token_group.sum(y)


def read_norm(rank: Rank, name: str) -> RmsNorm:
    """Return a norm over the residual stream."""
    weight_H = rank.weights.read(name, (rank.model.hidden,))
    return RmsNorm(weight_H, rank.architecture.norm_epsilon)


def _length(part: Range) -> int:
    return part[1] - part[0]


def _read(rank: Rank, projection: Projection, kind: str, shape: tuple[int, ...]) -> Tensor:
    """Return this rank's rows of a projection's weight or bias."""
    part = rank.weights.read(f"{projection.name}.{kind}", shape, projection.part)
    return pair_channels(part, projection.head_dim) if projection.head_dim else part
