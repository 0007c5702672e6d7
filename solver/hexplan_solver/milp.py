"""Run a PuLP model on HiGHS, or on another solver that PuLP finds, and read its answer."""

from __future__ import annotations

import itertools
import math
import threading
import time
from dataclasses import dataclass
from enum import StrEnum

import highspy
import pulp

from hexplan.constants import CertificateStatus
from hexplan.errors import InputError
from hexplan_solver.budget import Budget, Watch
from hexplan_solver.options import SolveOptions
from hexplan_solver.quiet import quiet_stdout

POLL_S = 0.05
"""Seconds between two looks at a running solver, short enough for Ctrl-C to feel immediate."""
LEAST_LIMIT_S = 1e-2
"""Seconds that HiGHS gets at least, so that it checks the solution that it starts from."""
RELATIVE_GAP, ABSOLUTE_GAP = 1e-9, 1e-7
"""HiGHS ends at these gaps. With its own defaults it would call a plan optimal that is 0.01 % below
the best."""


@dataclass(frozen=True, slots=True)
class Patience:
    """When to end a run, as counts of work, so that it ends alike on every machine."""

    max_steps: int
    """Steps of branch and bound after which the run ends."""
    proof_steps: int
    """Steps after which the run ends if the gap is at most `small_gap`."""
    small_gap: float
    """As a share of the bound."""

    def shortened(self, share: float) -> Patience:
        """Return a patience of fewer steps."""
        steps = max(1, int(self.max_steps * share)), max(1, int(self.proof_steps * share))
        return Patience(*steps, self.small_gap)

    def is_over(self, step: int, best: float, bound: float) -> bool:
        """Say whether a maximisation should end."""
        is_close = step >= self.proof_steps and best >= (1 - self.small_gap) * bound
        return step >= self.max_steps or is_close


PATIENT = Patience(2500, 500, 1e-6)
"""A few seconds on two cores once the root node is solved; chosen by trial on the example specs."""


class MilpStatus(StrEnum):
    """How the run of a MILP ended: in the words of a certificate, apart from `infeasible`."""

    OPTIMAL = CertificateStatus.OPTIMAL
    FEASIBLE = CertificateStatus.FEASIBLE
    """A solution was found, and nothing is claimed about better ones."""
    TIME_LIMIT = CertificateStatus.TIME_LIMIT
    STEP_LIMIT = CertificateStatus.STEP_LIMIT
    """The caller or `Patience` ended the run."""
    INFEASIBLE = "infeasible"
    """No certificate says this, since there is no plan."""
    UNKNOWN = CertificateStatus.UNKNOWN
    """The solver gave no answer, or one that is not possible here, such as `unbounded`."""


HIGHS_STATUSES = {
    highspy.HighsModelStatus.kOptimal: MilpStatus.OPTIMAL,
    highspy.HighsModelStatus.kTimeLimit: MilpStatus.TIME_LIMIT,
    highspy.HighsModelStatus.kInterrupt: MilpStatus.STEP_LIMIT,
    highspy.HighsModelStatus.kInfeasible: MilpStatus.INFEASIBLE,
}
PULP_STATUSES = {
    pulp.LpSolutionOptimal: MilpStatus.OPTIMAL,
    pulp.LpSolutionIntegerFeasible: MilpStatus.FEASIBLE,
}


@dataclass(frozen=True, slots=True)
class MilpResult:
    """A solver's answer."""

    values: dict[str, float] | None
    """Value of each variable; None if no solution was found."""
    bound: float | None
    """Proved bound of the objective; None if the solver reports none."""
    status: MilpStatus


def solve_milp(
    model: pulp.LpProblem,
    options: SolveOptions,
    budget: Budget,
    start: dict[str, float] | None = None,
    patience: Patience | None = None,
) -> MilpResult:
    """Maximise a model, from a starting solution if there is one.

    Parameters
    ----------
    budget
        Only its `seconds` and `watch` are used, since the model has its own bounds.
    start
        Values by variable name; HiGHS finds those that are missing.
    patience
        When to end before the time is up; only HiGHS follows it.

    Raises
    ------
    InputError
        If PuLP does not find the solver.
    """
    if options.solver.lower() == "highs":
        return _solve_with_highs(model, options, budget, start, patience)
    installed = pulp.listSolvers(onlyAvailable=True)
    if options.solver not in installed:
        message = f"solver `{options.solver}` was not found"
        names = ", ".join(["HiGHS", *installed])
        raise InputError(message, hint=f"PuLP finds these solvers here: {names}")
    model.solve(pulp.getSolver(options.solver, msg=False, timeLimit=budget.seconds))
    status = PULP_STATUSES.get(model.sol_status, MilpStatus.UNKNOWN)
    if model.status == pulp.LpStatusInfeasible:
        status = MilpStatus.INFEASIBLE
    if status not in (MilpStatus.OPTIMAL, MilpStatus.FEASIBLE):
        return MilpResult(None, None, status)
    values = {variable.name: float(variable.varValue or 0) for variable in model.variables()}
    return MilpResult(values, None, status)


def _solve_with_highs(
    model: pulp.LpProblem,
    options: SolveOptions,
    budget: Budget,
    start: dict[str, float] | None,
    patience: Patience | None,
) -> MilpResult:
    solver = pulp.HiGHS(
        msg=False,
        threads=options.threads,
        timeLimit=budget.seconds,
        gapRel=RELATIVE_GAP,
        gapAbs=ABSOLUTE_GAP,
        random_seed=options.seed,
        presolve="choose" if options.presolve else "off",
    )
    with quiet_stdout():
        solver.createAndConfigureSolver(model)
    began_s = time.monotonic()
    solver.buildSolverModel(model)
    highs: highspy.Highs = model.solverModel
    # HiGHS counts its time from here on. It looks at it between two steps of presolve, of the
    # simplex method and of branch and bound, but not while it factors a large matrix.
    left_s = budget.seconds - (time.monotonic() - began_s)
    highs.setOptionValue("time_limit", max(LEAST_LIMIT_S, left_s))
    if start is not None:
        chosen = [(v.index, start[v.name]) for v in model.variables() if v.name in start]
        highs.setSolution(len(chosen), *(list(column) for column in zip(*chosen, strict=True)))
    _run(highs, budget.watch, patience)
    return _read(model, highs)


def _run(highs: highspy.Highs, watch: Watch, patience: Patience | None) -> None:
    """Run HiGHS on another thread, so that an interrupt ends it between two of its steps."""
    stop, done = threading.Event(), threading.Event()
    latest: list[tuple[float, float]] = [(-math.inf, math.inf)]
    steps = itertools.count(1)

    def on_step(event: highspy.highs.HighsCallbackEvent) -> None:
        out = event.data_out
        latest[0] = (-out.mip_primal_bound, -out.mip_dual_bound)
        if stop.is_set() or (patience and patience.is_over(next(steps), *latest[0])):
            event.interrupt()

    def run() -> None:
        try:
            highs.run()
        finally:
            done.set()

    highs.cbMipInterrupt += on_step
    threading.Thread(target=run, daemon=True).start()
    try:
        # Not `Thread.join`: after an interrupt it takes a running thread for a finished one, before
        # CPython 3.13, and HiGHS aborts the process if it still runs when the interpreter ends.
        is_done = False
        while not is_done:
            is_done = done.wait(POLL_S)
            best, bound = latest[0]
            if not watch(_finite(best), _finite(bound)):
                stop.set()
    finally:
        stop.set()
        done.wait()


def _finite(value: float) -> float | None:
    return value if abs(value) < highspy.kHighsInf else None


def _read(model: pulp.LpProblem, highs: highspy.Highs) -> MilpResult:
    """Read the answer; its values count only if HiGHS calls the primal solution feasible."""
    info = highs.getInfo()
    status = HIGHS_STATUSES.get(highs.getModelStatus(), MilpStatus.UNKNOWN)
    bound = _finite(-info.mip_dual_bound) if math.isfinite(info.mip_dual_bound) else None
    if info.primal_solution_status != int(highspy.SolutionStatus.kSolutionStatusFeasible):
        return MilpResult(None, bound, status)
    columns = highs.getSolution().col_value
    values = {variable.name: columns[variable.index] for variable in model.variables()}
    return MilpResult(values, bound, status)
