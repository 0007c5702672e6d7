"""What a search may spend, and the flow that it has to beat."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

Watch = Callable[[float | None, float | None], bool]
"""Called while a solver runs, with the best objective so far and its bound; False ends the run."""

GoesOn = Callable[[], bool]
"""Called while a search runs; False ends it."""

NO_BOUND = 2**62
"""Stands for no bound, in 1e-6 tokens/s: `build_problem` refuses rates whose sum reaches it."""


def always() -> bool:
    """Let a search run until it ends by itself."""
    return True


def never_stop(best: float | None, bound: float | None) -> bool:
    """Let the solver run until it ends by itself."""
    return True


@dataclass(frozen=True, slots=True)
class Budget:
    """The time of one search, and the flows between which a useful answer lies."""

    seconds: float
    """Wall-clock limit."""
    bound: int = NO_BOUND
    """No placement has a larger flow, in 1e-6 tokens/s: this is proved."""
    reached: int = 0
    """Flow of a placement that is already known, in 1e-6 tokens/s; only larger ones are of use."""
    watch: Watch = never_stop
    """Follows the progress of a MILP, and may end it."""
