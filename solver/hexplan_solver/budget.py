"""What a search may spend, and what it has to beat."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

Watch = Callable[[float | None, float | None], bool]
"""Called with the best objective so far and its proved bound while a solver runs; False ends it."""

NO_BOUND = 2**62
"""No flow is larger: sums of rates stay below this, in 1e-6 tokens/s."""


def never_stop(best: float | None, bound: float | None) -> bool:
    """Let the solver run to its own end."""
    return True


@dataclass(frozen=True, slots=True)
class Budget:
    """The time of one search, and the flows between which its answer lies."""

    seconds: float
    """Wall-clock limit."""
    bound: int = NO_BOUND
    """Proved: no placement has a larger flow, in 1e-6 tokens/s."""
    reached: int = 0
    """Flow of a placement that is known already; only larger ones are of use."""
    watch: Watch = never_stop
    """Follows a MILP's progress, and may end it."""
