"""What a replan changed, and what it costs to get there."""

from __future__ import annotations

from typing import Literal

from hexplan.field_types import Exact, Range
from hexplan.frozen_model import FrozenModel


class GoneStage(FrozenModel):
    """A stage of the plan before that cannot go on."""

    id: str
    """Its id in the plan before."""
    host: str
    """Host name."""
    layers: Range
    """What it held."""
    reason: str
    """Why it is gone."""


class HostMove(FrozenModel):
    """What one host has to fetch."""

    host: str
    """Host name."""
    moved_bytes: int
    """Weights that its devices did not hold before, counted on each device."""
    fetched_layers: tuple[Range, ...]
    """Layers of which at least one device lacks a part."""
    estimate_s: float
    """Time to receive them over the host's fastest link, at most at its NIC's speed."""


class Replanning(FrozenModel):
    """How one plan became another."""

    version: Literal[1] = 1
    """Version of this format."""
    mode: Literal["routes-only", "fewest-bytes"]
    """Whether weights were allowed to move."""
    flow_before_tokens_per_s: Exact
    """Of the plan before."""
    flow_tokens_per_s: Exact
    """Of the new plan."""
    flow_fresh_tokens_per_s: Exact | None
    """The largest flow found when every weight may move; not sought where only routes change."""
    flow_kept_tokens_per_s: Exact
    """With no weight moved, by new routes alone; 0 where these do not connect."""
    max_loss: Exact | None
    """The share of that flow that the new plan may lack."""
    moved_bytes: int
    """Weights to fetch, over all devices."""
    moved_bytes_fresh: int | None
    """What the plan with the fresh flow would fetch, on the hosts where it moves least."""
    moved_bytes_bound: int | None
    """Proved: no plan within the loss moves fewer. Nothing where that was not proved."""
    estimate_s: float
    """An estimate: the slowest host's time, all hosts receiving at once."""
    hosts: tuple[HostMove, ...]
    """Hosts that fetch anything."""
    gone: tuple[GoneStage, ...]
    """Stages of the plan before that cannot go on."""
    notes: tuple[str, ...]
    """What else the user should know, such as pins that hold no longer."""
