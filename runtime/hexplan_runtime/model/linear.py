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
from hexplan_runtime.model.weights import WeightsReader
from hexplan_runtime.net.team import Team


@dataclass(frozen=True, slots=True)
class Rank:
    """What one rank builds its layers from."""

    model: Model
    architecture: Architecture
    shard: Shard
    team: Team
    weights: WeightsReader


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
    """Projections of the same input, all with a bias or none; this rank holds some outputs."""

    def __init__(self, rank: Rank, projections: Sequence[Projection]) -> None:
        weights, biases = [], []
        for projection in projections:
            shape = projection.size, rank.model.hidden
            weights.append(_read(rank, projection, "weight", shape))
            if projection.has_bias:
                biases.append(_read(rank, projection, "bias", shape[:1]))
        self._linear = Linear(torch.cat(weights), torch.cat(biases) if biases else None)

    def __call__(self, x_TH: Tensor) -> Tensor:
        """Return this rank's outputs of all projections, side by side."""
        return self._linear(x_TH)


class RowParallel:
    """A projection of which this rank holds some inputs; only the leader adds a bias."""

    def __init__(self, rank: Rank, projection: Projection) -> None:
        read, hidden, name = rank.weights.read, rank.model.hidden, projection.name
        shape = hidden, projection.size
        self._team = rank.team
        bias = None
        if projection.has_bias and rank.team.is_leader:
            bias = read(f"{name}.bias", (hidden,))
        self._linear = Linear(read(f"{name}.weight", shape, (0, hidden), projection.part), bias)

    def __call__(self, x: Tensor) -> Tensor:
        """Return the whole output, the same on every rank of the team."""
        return self._team.sum(self._linear(x))


def read_norm(rank: Rank, name: str) -> RmsNorm:
    """Return a norm over the residual stream."""
    weight_H = rank.weights.read(name, (rank.model.hidden,))
    return RmsNorm(weight_H, rank.architecture.norm_epsilon)


def _read(rank: Rank, projection: Projection, kind: str, shape: tuple[int, ...]) -> Tensor:
    """Return this rank's rows of a projection's weight or bias."""
    part = rank.weights.read(f"{projection.name}.{kind}", shape, projection.part)
    return pair_channels(part, projection.head_dim) if projection.head_dim else part
