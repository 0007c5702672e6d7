"""News of a plan that is being applied, for the mender: it reads them in the engine's thread."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from hexplan_runtime.stage.messages import Assignment


@dataclass(frozen=True, slots=True)
class Grow:
    """The plan of the launch has more stages and routes from now on."""

    template: Assignment
    """What all ranks get, but for their place: the plan, and the edges that there are now."""
    names: Mapping[int, Sequence[str]]
    """The ranks of each stage that is new, by its index."""
    away: frozenset[int]
    """Numbers of new edges between machines, of which it is not known yet where they are."""


@dataclass(frozen=True, slots=True)
class StartStages:
    """Stages are to start, new ones or such as had ended."""

    stages: frozenset[int]


@dataclass(frozen=True, slots=True)
class Settle:
    """All ranks know the plan, so that those that start again get it, too."""


@dataclass(frozen=True, slots=True)
class Retire:
    """Stages are to end, as no route needs them any more."""

    stages: frozenset[int]
    routes: frozenset[int]
    """Routes that are over as well, though their stages go on."""


@dataclass(frozen=True, slots=True)
class Rewire:
    """The launch has other edges from now on, and no new ones."""

    template: Assignment


PlanNews: TypeAlias = Grow | StartStages | Settle | Retire | Rewire
PLAN_NEWS = (Grow, StartStages, Settle, Retire, Rewire)
