"""The budget of trials: how much is simulated, counted in work and not in seconds."""

from __future__ import annotations

from typing import Protocol

from hexplan_solver.objectives.sustained.candidate import Candidate
from hexplan_solver.run import Run
from hexplan_solver.simulate import Window

TOKEN_HOPS_PER_S = 200_000
"""Tokens times hops that are simulated for each second of effort. One core simulates 240,000 to
1,200,000 a second (2 x AMD EPYC, 2026-11-29): the least, with room for a slower machine."""
TRIALS_SHARE = 0.45
"""Share of the effort that goes into trials; the rest is for the placements."""
FINAL_SHARE = 0.35
"""Share of the trials that is kept for the best of them."""


class TrialBudget(Protocol):
    """Says what may still be simulated."""

    def may_run(self, candidate: Candidate, num_seeds: int = 1) -> bool:
        """Return whether some runs of a candidate may begin; if so, they are charged."""
        ...

    def may_tune(self) -> bool:
        """Return whether there is enough for runs with other step limits."""
        ...


class EffortBudget:
    """Work that follows from the effort, so that equal solves make equal runs.

    The clock only stops runs that would end after the time limit.
    """

    def __init__(self, run: Run, window: Window) -> None:
        self._run, self._window = run, window
        self._total = run.effort_s * TRIALS_SHARE * TOKEN_HOPS_PER_S
        self._spent = 0.0
        self._longest_s, self._begun_s = 0.0, run.elapsed_s

    def may_run(self, candidate: Candidate, num_seeds: int = 1) -> bool:
        """Return whether some runs of a candidate may begin; if so, they are charged."""
        self._run.tell("trials", None)  # a rate that no bound belongs to
        now_s = self._run.elapsed_s
        self._longest_s = max(self._longest_s, now_s - self._begun_s)
        self._begun_s = now_s
        served = candidate.served
        duration_s = self._window.duration_s or 0.0
        work = num_seeds * duration_s * served.decode_tokens_per_s * served.hops
        is_affordable = self._spent + work <= self._total
        if is_affordable:
            self._spent += work
        return is_affordable and self._run.left_s > self._longest_s

    def may_tune(self) -> bool:
        """Return whether there is enough for runs with other step limits."""
        return self._spent < self._total * (1 - FINAL_SHARE)
