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


class RmsNorm:
    """Root-mean-square norm over the last dimension."""

    def __init__(self, weight: Tensor, epsilon: float) -> None:
        self._weight = weight
        self._epsilon = epsilon

    def __call__(self, x: Tensor) -> Tensor:
        """Return x normalised and scaled."""
        return F.rms_norm(x, x.shape[-1:], eps=self._epsilon) * self._weight


class ColumnParallel:
    """Projections of the same input, all with a bias or none; this rank holds some outputs."""

    def __init__(self, rank: Rank, projections: Sequence[Projection]) -> None:
        read, hidden = rank.weights.read, rank.model.hidden
        self._weight = torch.cat(
            [read(f"{p.name}.weight", (p.size, hidden), p.part) for p in projections]
        )
        biases = [read(f"{p.name}.bias", (p.size,), p.part) for p in projections if p.has_bias]
        self._bias = torch.cat(biases) if biases else None

    def __call__(self, x_TH: Tensor) -> Tensor:
        """Return this rank's outputs of all projections, side by side."""
        return F.linear(x_TH, self._weight, self._bias)


class RowParallel:
    """A projection of which this rank holds some inputs; only the leader adds a bias."""

    def __init__(self, rank: Rank, projection: Projection) -> None:
        read, hidden, name = rank.weights.read, rank.model.hidden, projection.name
        shape = hidden, projection.size
        self._team = rank.team
        self._weight = read(f"{name}.weight", shape, (0, hidden), projection.part)
        self._bias = None
        if projection.has_bias and rank.team.is_leader:
            self._bias = read(f"{name}.bias", (hidden,))

    def __call__(self, x: Tensor) -> Tensor:
        """Return the whole output, the same on every rank of the team."""
        return self._team.sum(F.linear(x, self._weight, self._bias))


def read_norm(rank: Rank, name: str) -> RmsNorm:
    """Return a norm over the residual stream."""
    weight_H = rank.weights.read(name, (rank.model.hidden,))
    return RmsNorm(weight_H, rank.architecture.norm_epsilon)
