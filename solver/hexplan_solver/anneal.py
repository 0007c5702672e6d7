"""Simulated annealing (Kirkpatrick et al., 1983): the loop of every local search in the solver."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

State = TypeVar("State")
Change = TypeVar("Change")


@dataclass(frozen=True, slots=True)
class Scored(Generic[State]):
    """A state of the search with its value: larger is better."""

    state: State
    value: float
    merit: float | None = None
    """What the best state is chosen by, if not by its value. It is below all others for a state
    that must not be chosen."""

    @property
    def rank(self) -> float:
        """The merit if there is one, else the value."""
        return self.value if self.merit is None else self.merit


class Landscape(Protocol[State, Change]):
    """What is searched: which changes there are, and what state each leads to."""

    def change(self, state: State) -> Change | None:
        """Draw a change of a state; return None if the one drawn is impossible."""
        ...

    def score(self, change: Change, floor: float) -> Scored[State] | None:
        """Return the state that a change leads to.

        If its value is below `floor`, any value below that will do, and so will None.
        """
        ...

    def may_go_on(self, step: int, best: Scored[State]) -> bool:
        """Say whether to take another step; called before each."""
        ...


class Acceptance(Protocol):
    """Decides which changes the search follows; progress goes from 0 to 1."""

    def floor(self, value: float, best: float, progress: float) -> float:
        """Return the least value that is accepted next; called before a change is scored."""
        ...

    def accepts(self, found: float, value: float, floor: float, progress: float) -> bool:
        """Say whether to go from a value to the one found."""
        ...


@dataclass(frozen=True, slots=True)
class Threshold:
    """Accept a loss up to a random limit, which is drawn first.

    So a change that loses more needs no exact value. This is threshold accepting (Dueck and
    Scheuer, 1990) with a random threshold.
    """

    slack: Callable[[float, float, float], float]
    """Largest loss accepted, as a function of the value, the best value so far and the progress."""
    power: int
    """The slack is multiplied by a uniform number to this power, so that large losses are rare."""
    rng: random.Random

    def floor(self, value: float, best: float, progress: float) -> float:
        """Return the value less a random part of the slack."""
        return value - self.slack(value, best, progress) * self.rng.random() ** self.power

    def accepts(self, found: float, value: float, floor: float, progress: float) -> bool:
        """Say whether the floor is reached."""
        return found >= floor


@dataclass(frozen=True, slots=True)
class Metropolis:
    """Accept a loss with probability exp(-loss / temperature) (Kirkpatrick et al., 1983)."""

    temperature: Callable[[float], float]
    """As a function of the progress, in the unit of the value."""
    rng: random.Random

    def floor(self, value: float, best: float, progress: float) -> float:
        """Return minus infinity, since any value may be accepted."""
        return -math.inf

    def accepts(self, found: float, value: float, floor: float, progress: float) -> bool:
        """Say whether the change loses nothing, or is accepted by chance."""
        loss = value - found
        return loss <= 0 or self.rng.random() < math.exp(-loss / self.temperature(progress))


@dataclass(frozen=True, slots=True)
class Walk:
    """How long a search goes on."""

    steps: int
    patience: int | None = None
    """After this many scored changes without a new best state, the search goes back to its best."""


def anneal(
    landscape: Landscape[State, Change],
    start: Scored[State],
    acceptance: Acceptance,
    walk: Walk,
    best: Scored[State] | None = None,
) -> Scored[State]:
    """Return the best state found by following accepted changes.

    Parameters
    ----------
    best
        The state to beat, if it is not the start.
    """
    current, best, since = start, best or start, 0
    for step in range(walk.steps):
        if not landscape.may_go_on(step, best):
            break
        change = landscape.change(current.state)
        if change is None:
            continue
        progress = step / walk.steps
        floor = acceptance.floor(current.value, best.value, progress)
        found = landscape.score(change, floor)
        is_accepted = found is not None and acceptance.accepts(
            found.value, current.value, floor, progress
        )
        since += 1
        if found is not None and is_accepted:
            current = found
            if found.rank > best.rank:
                best, since = found, 0
        if walk.patience is not None and since > walk.patience:
            current, since = best, 0
    return best
