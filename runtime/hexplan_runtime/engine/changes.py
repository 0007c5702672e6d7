"""Changes: what the engine hears of stages, and what it then tells those that are left."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from hexplan.errors import HexplanError


@dataclass(frozen=True, slots=True)
class StagesLost:
    """Stages have died, stand still or are cut off; nothing comes of them any more."""

    stages: frozenset[int]
    """Their indices in the plan."""
    why: str


@dataclass(frozen=True, slots=True)
class StageBack:
    """A stage runs again, and holds nothing."""

    stage: int


@dataclass(frozen=True, slots=True)
class Renewed:
    """All stages that run have let go of what a renewal ended, and of those before it."""

    number: int


@dataclass(frozen=True, slots=True)
class StageGone:
    """A stage could not be started again, and nobody tries any more."""

    stage: int
    why: HexplanError


Change: TypeAlias = StagesLost | StageBack | Renewed | StageGone


@dataclass(frozen=True, slots=True)
class Renewal:
    """What stages must let go of, because others are lost."""

    number: int
    """Renewals of a launch are numbered from 1."""
    stages: frozenset[int]
    """The stages that are lost now."""
    generations: tuple[int, ...]
    """How often each stage was lost so far."""
    floors: tuple[int, ...]
    """For each route: requests below this are over there."""
    others: frozenset[int]
    """Requests of routes that go on, which are over too: they were to copy from those."""
    ended: frozenset[int]
    """All requests that this renewal ends."""

    def is_over(self, request: int, route: int) -> bool:
        """Say whether a request is over by this renewal or those before it."""
        return request < self.floors[route] or request in self.others
