"""What differs between two plans, and what it takes to go from one to the other."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from hexplan.field_types import Exact, Range
from hexplan.frozen_model import FrozenModel
from hexplan.plan import Phase

Change = Literal["added", "removed", "changed"]


class StageChange(FrozenModel):
    """A group of devices whose work is another one."""

    host: str
    """Host name."""
    devices: tuple[int, ...]
    """Device indices on the host."""
    change: Change
    before: Range | None
    """Layers that it held; null if it is new."""
    after: Range | None
    """Layers that it holds now; null if it is gone."""
    kv_tokens: tuple[int, int]
    """KV room before and after."""
    phases: Annotated[tuple[Phase, Phase], Field(exclude_if=lambda both: set(both) == {"both"})] = (
        "both",
        "both",
    )
    """What it served and serves now."""
    fetched_bytes: int
    """Weights that its devices did not hold before."""
    keeps_requests: bool
    """Whether requests in flight may stay: its layers and shards are the same."""


class EdgeChange(FrozenModel):
    """Flow between two groups of devices, by what they are called in the later plan."""

    source: str
    """A stage as `host:devices`, or `entry`."""
    target: str
    """A stage as `host:devices`, or `exit`."""
    before_tokens_per_s: Exact
    after_tokens_per_s: Exact


class Figure(FrozenModel):
    """A predicted figure that is not the same."""

    name: str
    """Such as `requests_per_s`."""
    unit: str
    before: Exact | None
    after: Exact | None


class Difference(FrozenModel):
    """What differs between two plans."""

    version: Literal[1] = 1
    """Version of this format."""
    inputs: tuple[str, ...]
    """Which inputs differ: `cluster`, `model`, `workload`, `objective`."""
    figures: tuple[Figure, ...]
    stages: tuple[StageChange, ...]
    edges: tuple[EdgeChange, ...]
    fetched_bytes: int
    """Weights to fetch, over all devices."""
    has_other_handovers: Annotated[bool, Field(exclude_if=lambda others: not others)] = False
    """Whether requests are handed over from other stages, to others, or in other shares."""

    @property
    def is_empty(self) -> bool:
        """Whether both plans serve alike; how they were made does not count."""
        parts = self.inputs or self.figures or self.stages or self.edges
        return not (parts or self.has_other_handovers)
