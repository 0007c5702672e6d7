"""The budget of trials: how much may be simulated, in units of work instead of seconds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from hexplan.spec import Spec
from hexplan_solver.objectives.sustained.candidate import Candidate
from hexplan_solver.objectives.sustained.params import SUSTAINED_PARAMS
from hexplan_solver.objectives.sustained.trial import is_certain, window_for, work_of
from hexplan_solver.run import Run
from hexplan_solver.simulate import Window


class TrialBudget(Protocol):
    """Decides what may still be simulated."""

    def affords(self, candidates: Sequence[Candidate]) -> bool:
        """Say whether there is enough for a run of each."""
        ...

    @property
    def is_short(self) -> bool:
        """Whether runs are shorter than usual."""
        ...

    def window(self, found: Candidate) -> Window:
        """Return what of a candidate's run is measured, and its first seed."""
        ...

    def may_run(
        self,
        found: Candidate,
        num_seeds: int = 1,
        *,
        scale: float | None = None,
        is_needed: bool = False,
    ) -> bool:
        """Say whether a candidate may have some more runs; if so, charge them.

        Parameters
        ----------
        scale
            Their length as a share of the usual one, if it is not that of the others.
        is_needed
            Whether only the clock can forbid them.
        """
        ...

    def may_tune(self) -> bool:
        """Say whether enough is left for runs with other step limits."""
        ...

    def is_minor(self, found: Candidate, num_seeds: int) -> bool:
        """Say whether runs of the usual length are a small part of the budget."""
        ...

    def scale_left(self, candidates: Sequence[Candidate]) -> float:
        """Return the length that one more run of each may have, as a share of the usual one."""
        ...


class Gauge(Protocol):
    """Says how long a run of a candidate is, and how much work."""

    def window(self, found: Candidate, scale: float, seed: int) -> Window:
        """Return what of a run is measured, at a share of its usual length."""
        ...

    def work(self, found: Candidate, scale: float) -> float:
        """Return the work of a run of that length."""
        ...


@dataclass(frozen=True, slots=True)
class FullLoad:
    """Runs with as many requests as the KV cache takes."""

    def window(self, found: Candidate, scale: float, seed: int) -> Window:
        """Return a window by the formula's stay of a request."""
        return window_for(found, scale, seed)

    def work(self, found: Candidate, scale: float) -> float:
        """Return tokens times hops, and what steps add."""
        return work_of(found, window_for(found, scale, 0).duration_s or 0.0)


FULL_LOAD = FullLoad()


class TrialShare(Protocol):
    """How much of its effort a search may spend on trials."""

    @property
    def trials_effort(self) -> float:
        """The largest share of the effort."""
        ...

    @property
    def trials_device_s(self) -> float:
        """Seconds of the effort that are enough for each device."""
        ...

    @property
    def trials_least_s(self) -> float:
        """Seconds of the effort that are enough for the smallest cluster."""
        ...


def share_for(run: Run, spec: Spec, share: TrialShare) -> float:
    """Return the share of the effort for trials: on a small cluster a few seconds are enough."""
    devices = sum(len(host.devices) for host in spec.cluster.hosts)
    enough_s = max(share.trials_least_s, share.trials_device_s * devices)
    return min(share.trials_effort, enough_s / run.effort_s)


class EffortBudget:
    """A budget of work that follows from the effort, so that equal solves make equal runs.

    The clock has no part in it, except that no run begins that may end after the time limit.

    Parameters
    ----------
    share
        Share of the effort that the trials may take.
    expected
        The candidates in the order of their trials: runs are shorter where there is too little for
        all of these, down to `least_scale`.
    gauge
        How long and how much work a run is.
    """

    def __init__(
        self, run: Run, share: float, expected: Sequence[Candidate], gauge: Gauge = FULL_LOAD
    ) -> None:
        self._run, self._gauge, params = run, gauge, SUSTAINED_PARAMS
        self._total = run.effort_s * share * params.work_per_s
        self._spent = 0.0
        self._begun_s = run.elapsed_s
        usual = sum(self._work(found, 1.0) for found in expected)
        first_share = 1 - params.final_share if is_certain(expected[0]) else params.first_share
        affordable = self._total * first_share / usual
        self._scale = max(params.least_scale, min(1.0, affordable))

    def affords(self, candidates: Sequence[Candidate]) -> bool:
        """Say whether there is enough for a run of each."""
        return sum(self._work(found, self._scale) for found in candidates) <= self._total

    @property
    def is_short(self) -> bool:
        """Whether runs are shorter than usual."""
        return self._scale < 1

    def window(self, found: Candidate) -> Window:
        """Return what of a candidate's run is measured, and its first seed."""
        return self._gauge.window(found, self._scale, self._run.options.seed)

    def may_run(
        self,
        found: Candidate,
        num_seeds: int = 1,
        *,
        scale: float | None = None,
        is_needed: bool = False,
    ) -> bool:
        """Say whether a candidate may have some more runs; if so, charge them."""
        # No rate is told: the bound on the flow is no bound on a served rate.
        self._run.tell("trials", None)
        work = num_seeds * self._work(found, self._scale if scale is None else scale)
        is_dear = self._spent + work > self._total and not is_needed
        if is_dear or work / self._pace() > self._run.left_s:
            return False
        self._spent += work
        return True

    def may_tune(self) -> bool:
        """Say whether enough is left for runs with other step limits."""
        return self._spent < self._total * (1 - SUSTAINED_PARAMS.final_share)

    def is_minor(self, found: Candidate, num_seeds: int) -> bool:
        """Say whether runs of the usual length are a small part of the budget."""
        return num_seeds * self._work(found, 1.0) <= self._total * SUSTAINED_PARAMS.minor_share

    def scale_left(self, candidates: Sequence[Candidate]) -> float:
        """Return the length that one more run of each may have, as a share of the usual one."""
        return (self._total - self._spent) / sum(self._work(found, 1.0) for found in candidates)

    def _work(self, found: Candidate, scale: float) -> float:
        return self._gauge.work(found, scale)

    def _pace(self) -> float:
        """Return the work done in a second so far, or at first what any machine does."""
        taken_s = self._run.elapsed_s - self._begun_s
        least = SUSTAINED_PARAMS.work_per_s * SUSTAINED_PARAMS.slow_machine
        if not self._spent or taken_s <= 0:
            return least
        return self._spent / taken_s
