"""What a caller of `solve` may set, and what is reported to it while the solve runs."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from hexplan_solver.clock import CLOCK, Clock

OWN_METHOD = "hexplan"
"""The name of hexplan's own search among the methods."""


@dataclass(frozen=True, slots=True)
class SolveOptions:
    """How to search."""

    seed: int = 0
    """Seed of the solver and of the local search."""
    time_limit_s: float | None = None
    """Wall-clock limit; None means the limit in the spec."""
    effort_s: float | None = None
    """Seconds from which a search derives how many steps it takes, so that their number does not
    depend on the clock; None means the time limit."""
    solver: str = "HiGHS"
    """Name of a solver that PuLP finds on this machine."""
    threads: int = 1
    """Threads of the solver."""
    method: str = OWN_METHOD
    """Name of what places the layers: hexplan's own search, or a published method."""
    patience: float = 1.0
    """Share of the usual steps after which the MILP over layers ends without a proof."""
    is_robust: bool = False
    """Whether plans are chosen by what they pass in all but 5 % of the worlds that the errors of
    speeds allow, for the objectives throughput and balanced."""
    presolve: bool = True
    """Whether HiGHS simplifies a MILP first. Without it, HiGHS solves another matrix, so that its
    answer is a second opinion."""
    started_s: float | None = None
    """When the time limit began, on the clock's wall: with the command, before the spec was read.
    None means with the search."""
    is_nested: bool = False
    """Whether another search runs this one, and writes the plan."""
    clock: Clock = field(default=CLOCK, compare=False)
    """What says how much time has passed."""
    stop: threading.Event = field(default_factory=threading.Event, compare=False)
    """Set it, from a signal handler or another thread, to get the best plan found so far."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a running solve has got."""

    phase: str
    """What it is doing."""
    incumbent_tokens_per_s: float | None
    """Flow of the best placement so far; the links are ignored until the phase is `links`."""
    bound_tokens_per_s: float | None
    """The best proved bound on the flow of any placement."""
    elapsed_s: float
    """Seconds since the start."""

    @property
    def gap(self) -> float | None:
        """`(bound - incumbent) / incumbent`, where both are known."""
        if not self.incumbent_tokens_per_s or self.bound_tokens_per_s is None:
            return None
        return self.bound_tokens_per_s / self.incumbent_tokens_per_s - 1


Report = Callable[[Progress], None]
"""Called with the progress while a solve runs."""


def be_silent(progress: Progress) -> None:
    """Report nothing."""
