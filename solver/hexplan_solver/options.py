"""What a caller may set, and what it hears while a solve runs."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class SolveOptions:
    """How to search."""

    seed: int = 0
    """Seed of the solver and of the local search."""
    time_limit_s: float | None = None
    """Wall-clock limit; the cluster's own limit where nothing is given."""
    effort_s: float | None = None
    """Seconds from which a search derives how many steps it takes, so that these do not depend on
    the clock; the time limit, where nothing is given."""
    solver: str = "HiGHS"
    """Name of a solver that PuLP finds on this machine."""
    threads: int = 1
    """Threads of the solver."""
    method: str = "hexplan"
    """What places the layers: hexplan's own search, or a published method."""
    presolve: bool = True
    """Whether HiGHS simplifies the MILP first; off for a second opinion."""
    stop: threading.Event = field(default_factory=threading.Event, compare=False)
    """Set it, from a signal handler or another thread, to get the best plan so far."""


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a running solve stands."""

    phase: str
    """What it is doing."""
    incumbent_tokens_per_s: float | None
    """The best placement so far, links ignored until the phase is `links`."""
    bound_tokens_per_s: float | None
    """What no placement exceeds, as far as proved."""
    elapsed_s: float
    """Seconds since the start."""

    @property
    def gap(self) -> float | None:
        """`(bound - incumbent) / incumbent`, where both are known."""
        if not self.incumbent_tokens_per_s or self.bound_tokens_per_s is None:
            return None
        return self.bound_tokens_per_s / self.incumbent_tokens_per_s - 1


Report = Callable[[Progress], None]


def be_silent(progress: Progress) -> None:
    """Report nothing."""
