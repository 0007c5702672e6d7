"""The `solve` command."""

from __future__ import annotations

import time
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from hexplan.cli.inputs import AsJson, Overlays, seconds, source
from hexplan.cli.interrupts import stop_on_interrupt
from hexplan.cli.output import require_output, require_own_plan_sound, write


class Method(StrEnum):
    """Which method places the layers; the names of `hexplan_solver.METHODS`."""

    HEXPLAN = "hexplan"
    HELIX_MILP = "helix-milp"
    PETALS = "petals"
    SWARM = "swarm"
    SEPARATE = "separate"
    RAM = "ram"
    TFLOPS = "tflops"
    HEXGEN = "hexgen"
    SYMMETRIC = "symmetric"


def solve(
    spec_file: Annotated[Path, typer.Argument(metavar="SPEC", help="A cluster.yaml.")],
    overlay: Overlays = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Write the plan here; - is stdout.")
    ] = None,
    time_limit: Annotated[
        str | None, typer.Option(help="Have the plan after this time, such as 30s.")
    ] = None,
    method: Annotated[
        Method, typer.Option(help="hexplan's own search, or a published method to compare with.")
    ] = Method.HEXPLAN,
    robust: Annotated[
        bool,
        typer.Option(help="Choose by what is passed even if speeds are lower than predicted."),
    ] = False,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the search.")] = 0,
    solver: Annotated[str, typer.Option(help="A MILP solver that PuLP can find.")] = "HiGHS",
    threads: Annotated[int, typer.Option(min=1, max=1024, help="Threads of the solver.")] = 1,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="Print nothing but errors.")] = False,
    as_json: AsJson = False,
) -> None:
    """Find a plan, and prove how much better any plan could be.

    Ctrl-C ends the search and keeps the best plan so far; a second Ctrl-C gives up.
    """
    started_s = time.monotonic()
    from hexplan.reading import read_spec
    from hexplan.render import say, solve_progress, summary
    from hexplan_solver import SolveOptions
    from hexplan_solver import solve as find_plan

    require_output(output)
    spec = read_spec(source(spec_file), overlay or ())
    with stop_on_interrupt() as stop, solve_progress(quiet=quiet) as report:
        limit_s = seconds("--time-limit", time_limit)
        search = SolveOptions(
            seed=seed,
            time_limit_s=limit_s,
            solver=solver,
            threads=threads,
            method=method.value,
            is_robust=robust,
            started_s=started_s,
            stop=stop,
        )
        plan = find_plan(spec, search, report)
    require_own_plan_sound(plan)
    write(plan, output, as_json=as_json)
    if not quiet:
        say(summary(plan, output))
