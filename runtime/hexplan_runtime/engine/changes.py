"""Changes: what the engine hears of stages, and what it then tells those that are left."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from hexplan.errors import HexplanError
from hexplan.plan import Plan


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


@dataclass(frozen=True, slots=True)
class PlanGrown:
    """A plan is to be applied: its stages start, and its routes are closed for now."""

    plan: Plan
    """The stages and routes so far, in their places, and the new ones behind them."""


@dataclass(frozen=True, slots=True)
class RoutesClosed:
    """No request takes these routes from now on; those that are on them go on."""

    routes: frozenset[int]


@dataclass(frozen=True, slots=True)
class RoutesOpened:
    """Routes that were closed may be taken once a token has gone through each."""

    routes: frozenset[int]


@dataclass(frozen=True, slots=True)
class RoutesWeighed:
    """Requests take routes by other weights from now on."""

    plan: Plan
    """The stages and routes so far, with the weights that count now."""


@dataclass(frozen=True, slots=True)
class StagesRetired:
    """Stages end that no route needs any more; requests that they still hold start over."""

    stages: frozenset[int]
    routes: frozenset[int] = frozenset()
    """Routes that are over as well, though their stages go on."""


@dataclass(frozen=True, slots=True)
class StagesWanted:
    """Stages that were retired start again, as what was to replace them did not come up."""

    stages: frozenset[int]


@dataclass(frozen=True, slots=True)
class Patience:
    """Whether requests wait for a route however long that takes, as plans are changing."""

    is_endless: bool


PlanChange: TypeAlias = (
    PlanGrown
    | RoutesClosed
    | RoutesOpened
    | RoutesWeighed
    | StagesRetired
    | StagesWanted
    | Patience
)
"""What applying another plan means for the engine."""
Change: TypeAlias = StagesLost | StageBack | Renewed | StageGone | PlanChange


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
