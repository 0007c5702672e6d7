"""What `hexplan profile` and its ranks say to each other: one line of JSON each."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from hexplan.field_types import Range
from hexplan.frozen_model import FrozenModel
from hexplan.model import Model
from hexplan_runtime.measure.devices import DeviceKind
from hexplan_runtime.measure.sample import Point
from hexplan_runtime.model.architecture import Architecture


class RankTask(FrozenModel):
    """What a rank gets on its stdin when it starts."""

    model: Model
    """The model's sizes."""
    architecture: Architecture
    """What config.json says beyond them."""
    model_folder: str
    """Where the weights are."""
    layers: Range
    """The layers that are measured, `[first, end)`."""
    kind: DeviceKind
    """What it is measured on."""
    rank: int
    """Rank in the group; 0 leads, and takes the times."""
    size: int
    """Ranks in the group."""
    meeting_folder: str
    """Where the ranks meet; only this user may enter it."""
    nonce: str
    """A random number that marks the messages of this group, in hexadecimal digits."""
    company: tuple[Point, ...] = ()
    """Steps to repeat without end beside the ranks that are measured; if there are any, the rank
    takes no orders."""


class RankOrder(FrozenModel):
    """What every rank of a group runs next."""

    point: Point
    """The step."""
    warmups: Annotated[int, Field(ge=0)]
    """Runs that are not timed, before the others."""
    repeats: Annotated[int, Field(gt=0)]
    """Runs that are timed."""


class RankAnswer(FrozenModel):
    """What the leader says: first that it is ready, then the times of each order."""

    times_s: tuple[float, ...] = ()
    """Seconds of each timed run."""
    refusal: str | None = None
    """Why the layer cannot be measured, where it cannot."""
    hint: str | None = None
    """What helps then."""
