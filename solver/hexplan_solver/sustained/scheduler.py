"""Schedulers, as four calibrated constants each (docs/formulation.md, "Served rate")."""

from __future__ import annotations

from dataclasses import dataclass

from hexplan_solver.simulate import Policy


@dataclass(frozen=True, slots=True)
class Scheduler:
    """How a policy bunches what it runs; fitted to the simulator."""

    clumps: float
    """Clumps in which all decodes in flight travel, at least."""
    fill: float
    """Share of the most decodes in one step that a clump comes to, at most."""
    catching: float
    """Weight of the time for which a clump stays behind the prompt ahead of it."""
    waiting: float
    """Weight of what a clump waits for at busy stages and links."""


CHUNKED_SCHEDULER = Scheduler(clumps=1.4, fill=0.73, catching=0.2, waiting=0.32)
WHOLE_SCHEDULER = Scheduler(clumps=1.5, fill=1.0, catching=1.15, waiting=0.11)


def scheduler_of(policy: Policy) -> Scheduler:
    """Return the constants for a policy, by whether its prompts come in chunks."""
    return WHOLE_SCHEDULER if policy.chunk_tokens is None else CHUNKED_SCHEDULER
