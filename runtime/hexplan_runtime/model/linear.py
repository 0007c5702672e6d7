"""Projections and norms, of which each rank cuts its own part out of the model by its shard.

Shapes: T tokens, H hidden width.
"""

from __future__ import annotations

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


class RmsNorm:
    """Root-mean-square norm over the last dimension."""

    def __init__(self, weight: Tensor, epsilon: float) -> None:
        self._weight = weight
        self._epsilon = epsilon

    def __call__(self, x: Tensor) -> Tensor:
        """Return x normalised and scaled."""
        return F.rms_norm(x, x.shape[-1:], eps=self._epsilon) * self._weight


class ColumnParallel:
    """One or more projections of the same input, of which this rank holds some outputs."""

    def __init__(self, rank: Rank, names: dict[str, tuple[int, Range]], has_bias: bool) -> None:
        read, hidden = rank.weights.read, rank.model.hidden
        parts = [
            (f"{name}.weight", f"{name}.bias", size, rows) for name, (size, rows) in names.items()
        ]
        self._weight = torch.cat([read(w, (size, hidden), rows) for w, _, size, rows in parts])
        self._bias = (
            torch.cat([read(b, (size,), rows) for _, b, size, rows in parts]) if has_bias else None
        )

    def __call__(self, x_TH: Tensor) -> Tensor:
        """Return this rank's outputs of all projections, side by side."""
        return F.linear(x_TH, self._weight, self._bias)


class RowParallel:
    """A projection of which this rank holds some inputs; the team sums, the leader adds a bias."""

    def __init__(self, rank: Rank, name: str, size: int, cut: tuple[Range, bool]) -> None:
        columns, has_bias = cut
        hidden = rank.model.hidden
        self._team = rank.team
        self._weight = rank.weights.read(f"{name}.weight", (hidden, size), (0, hidden), columns)
        self._bias = None
        if has_bias and rank.team.is_leader:
            self._bias = rank.weights.read(f"{name}.bias", (hidden,))

    def __call__(self, x: Tensor) -> Tensor:
        """Return the whole output, the same on every rank of the team."""
        return self._team.sum(F.linear(x, self._weight, self._bias))


def read_norm(rank: Rank, name: str) -> RmsNorm:
    """Return a norm over the residual stream."""
    weight_H = rank.weights.read(name, (rank.model.hidden,))
    return RmsNorm(weight_H, rank.architecture.norm_epsilon)
