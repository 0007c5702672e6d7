"""Run a PuLP model on HiGHS, or on another solver that PuLP finds, and read what it says."""

from __future__ import annotations

import itertools
import math
import threading
from collections.abc import Callable
from dataclasses import dataclass

import highspy
import pulp

from hexplan.errors import InputError
from hexplan_solver.options import SolveOptions

POLL_S = 0.05

Watch = Callable[[float | None, float | None], bool]
"""Told the incumbent and the bound of the objective while the solver runs; False ends it."""


@dataclass(frozen=True, slots=True)
class Patience:
    """When to end a run by its own work: on every machine alike, as no clock is asked."""

    max_steps: int
    """Steps of the branch and bound after which it ends."""
    proof_steps: int
    """Steps after which it ends if only `little` is left to gain or to prove."""
    little: float
    """A share of the objective."""

    def is_over(self, step: int, incumbent: float, bound: float) -> bool:
        """Say whether a maximisation should end."""
        is_close = step >= self.proof_steps and incumbent >= (1 - self.little) * bound
        return step >= self.max_steps or is_close


PATIENT = Patience(2500, 500, 1e-6)
"""Some seconds on two cores, once the root of the search tree is solved."""


def watch_to_the_end(incumbent: float | None, bound: float | None) -> bool:
    """Let the solver run."""
    return True


@dataclass(frozen=True, slots=True)
class MilpResult:
    """What a solver found."""

    values: dict[str, float] | None
    """Value of each variable, or nothing where no solution was found."""
    bound: float | None
    """Proved bound of the objective, where the solver tells one."""
    status: str
    """`optimal`, `limit`, `infeasible`, or what the solver says."""


def solve_milp(
    model: pulp.LpProblem,
    options: SolveOptions,
    time_limit_s: float,
    start: dict[str, float] | None = None,
    watch: Watch = watch_to_the_end,
    patience: Patience | None = None,
) -> MilpResult:
    """Solve a maximisation, from a starting solution where one is given.

    Raises
    ------
    InputError
        If PuLP does not find the solver.
    """
    if options.solver.lower() == "highs":
        return _solve_with_highs(model, options, time_limit_s, start, (watch, patience))
    if options.solver not in pulp.listSolvers(onlyAvailable=True):
        found = ", ".join(["HiGHS", *pulp.listSolvers(onlyAvailable=True)])
        message = f"solver `{options.solver}` was not found"
        raise InputError(message, hint=f"PuLP finds these solvers here: {found}")
    solver = pulp.getSolver(options.solver, msg=False, timeLimit=time_limit_s)
    model.solve(solver)
    if model.sol_status not in (pulp.LpSolutionOptimal, pulp.LpSolutionIntegerFeasible):
        return MilpResult(None, None, pulp.LpStatus[model.status].lower())
    values = {variable.name: float(variable.varValue or 0) for variable in model.variables()}
    return MilpResult(values, None, f"{options.solver}: {pulp.LpSolution[model.sol_status]}")


def _solve_with_highs(
    model: pulp.LpProblem,
    options: SolveOptions,
    time_limit_s: float,
    start: dict[str, float] | None,
    ends: tuple[Watch, Patience | None],
) -> MilpResult:
    solver = pulp.HiGHS(
        msg=False,
        threads=options.threads,
        timeLimit=time_limit_s,
        gapRel=1e-9,
        gapAbs=1e-7,
        random_seed=options.seed,
        presolve="choose" if options.presolve else "off",
    )
    solver.createAndConfigureSolver(model)
    solver.buildSolverModel(model)
    highs: highspy.Highs = model.solverModel
    if start is not None:
        chosen = [(v.index, start[v.name]) for v in model.variables() if v.name in start]
        highs.setSolution(len(chosen), *(list(column) for column in zip(*chosen, strict=True)))
    _run(highs, *ends)
    return _read(model, highs)


def _run(highs: highspy.Highs, watch: Watch, patience: Patience | None) -> None:
    """Run HiGHS beside this thread, so that an interrupt stops it between two of its steps."""
    stop, done = threading.Event(), threading.Event()
    seen: list[tuple[float, float]] = [(-math.inf, math.inf)]
    steps = itertools.count(1)

    def on_step(event: highspy.highs.HighsCallbackEvent) -> None:
        out = event.data_out
        seen[0] = (-out.mip_primal_bound, -out.mip_dual_bound)
        if stop.is_set() or (patience and patience.is_over(next(steps), *seen[0])):
            event.interrupt()

    def run() -> None:
        try:
            highs.run()
        finally:
            done.set()

    highs.cbMipInterrupt += on_step
    threading.Thread(target=run, daemon=True).start()
    try:
        # Not `Thread.join`: interrupted, that takes a running thread for a stopped one (CPython
        # before 3.13), and HiGHS aborts the process if it still runs when the interpreter ends.
        is_done = False
        while not is_done:
            is_done = done.wait(POLL_S)
            incumbent, bound = seen[0]
            if not watch(_finite(incumbent), _finite(bound)):
                stop.set()
    finally:
        stop.set()
        done.wait()


def _finite(value: float) -> float | None:
    return value if abs(value) < highspy.kHighsInf else None


def _read(model: pulp.LpProblem, highs: highspy.Highs) -> MilpResult:
    """Read the outcome; values count only where HiGHS calls the primal solution feasible."""
    info = highs.getInfo()
    model_status = highs.getModelStatus()
    names = {
        highspy.HighsModelStatus.kOptimal: "optimal",
        highspy.HighsModelStatus.kTimeLimit: "time limit",
        highspy.HighsModelStatus.kInterrupt: "step limit",
        highspy.HighsModelStatus.kInfeasible: "infeasible",
    }
    status = names.get(model_status, highs.modelStatusToString(model_status).lower())
    bound = _finite(-info.mip_dual_bound) if math.isfinite(info.mip_dual_bound) else None
    if info.primal_solution_status != int(highspy.SolutionStatus.kSolutionStatusFeasible):
        return MilpResult(None, bound, status)
    columns = highs.getSolution().col_value
    values = {variable.name: columns[variable.index] for variable in model.variables()}
    return MilpResult(values, bound, status)
