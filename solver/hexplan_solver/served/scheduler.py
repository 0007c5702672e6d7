"""The scheduler, as a few calibrated constants (docs/served_rate.md)."""

from __future__ import annotations

import math
from dataclasses import dataclass

from hexplan_solver.simulate import Policy


@dataclass(frozen=True, slots=True)
class Scheduler:
    """How chunked prefill with decodes first bunches what it runs; fitted to the simulator.

    `benchmarks/served_fit.py` fits most of them on generated clusters. `catching`, `waiting`,
    `filling`, `riding` and `meeting` were set by hand afterwards, on the same clusters and with the
    files of cluster_specs in view.
    """

    clumps: float
    """Clumps in which all decodes in flight travel, at least."""
    spreading: float
    """Power of the hops by which there are more clumps: as many micro-batches as stages."""
    sharpness: float
    """How suddenly the limit of a step takes over from the clump: a power mean of both."""
    catching: float
    """Weight of the time for which a clump stays behind the prompt ahead of it."""
    waiting: float
    """Weight of what a clump waits for at busy stages and links."""
    mixing: float
    """Power of a stage's load that is the share of its prompt steps which hold decodes too."""
    filling: float
    """A stage that full steps would keep busy for a part `full` of the time is busy for at most
    `full ** (1 / filling)`: the busier it is, the fuller its steps."""
    riding: float
    """Weight of the time by which prompts lengthen the steps of decodes."""
    meeting: float
    """Weight of what a clump waits for where several routes meet."""


SCHEDULER = Scheduler(1.36, 0.655, 4.44, 2.0, 0.065, 1.7, 2.0, 0.2, 0.12)


def clump_tokens(policy: Policy, in_flight: float) -> float:
    """Return the decodes that travel together, of so many in flight: at most a step's limit."""
    p = -SCHEDULER.sharpness
    in_clump = in_flight / SCHEDULER.clumps
    return max(1.0, math.pow(policy.max_decode_tokens**p + in_clump**p, 1 / p))
