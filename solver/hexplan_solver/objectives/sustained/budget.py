"""The budget of trials: how much may be simulated, in units of work instead of seconds."""

from __future__ import annotations

from typing import Protocol

from hexplan_solver.objectives.sustained.candidate import Candidate
from hexplan_solver.objectives.sustained.params import SUSTAINED_PARAMS
from hexplan_solver.run import Run
from hexplan_solver.simulate import Window


class TrialBudget(Protocol):
    """Decides what may still be simulated."""

    def may_run(self, candidate: Candidate, num_seeds: int = 1) -> bool:
        """Say whether a candidate may have some more runs; if so, charge them."""
        ...

    def may_tune(self) -> bool:
        """Say whether enough is left for runs with other step limits."""
        ...


class EffortBudget:
    """A budget of work that follows from the effort, so that equal solves make equal runs.

    The clock has no part in it, except that no run begins that may end after the time limit.
    """

    def __init__(self, run: Run, window: Window) -> None:
        self._run, self._window = run, window
        params = SUSTAINED_PARAMS
        self._total = run.effort_s * params.trials_share * params.token_hops_per_s
        self._spent = 0.0
        self._longest_s, self._begun_s = 0.0, run.elapsed_s

    def may_run(self, candidate: Candidate, num_seeds: int = 1) -> bool:
        """Say whether a candidate may have some more runs; if so, charge them."""
        self._run.tell(
            "trials", None
        )  # no rate: the bound on the flow is no bound on a served rate
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
        """Say whether enough is left for runs with other step limits."""
        return self._spent < self._total * (1 - SUSTAINED_PARAMS.final_share)
