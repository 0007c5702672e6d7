"""Changes: what the engine hears of stages, and what it then tells those that are left."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias


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


Change: TypeAlias = StagesLost | StageBack | Renewed


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
