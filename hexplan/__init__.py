"""Plan and launch LLM inference on mixed GPUs, with a proved bound.

    import hexplan

    plan = hexplan.solve(hexplan.read_spec("cluster.yaml"))
    violations = hexplan.check_plan(plan)

Each function loads what it needs when it is first called, so that `import hexplan` stays fast.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from os import PathLike

    from hexplan.check import Violation
    from hexplan.plan import Plan
    from hexplan.spec import Spec
    from hexplan_solver.options import Report, SolveOptions

__all__ = ["check_plan", "read_spec", "solve"]


def read_spec(path: str | PathLike[str], overlays: Sequence[str | PathLike[str]] = ()) -> Spec:
    """Return what a cluster.yaml says, with the measured figures of overlays in place of its own.

    Raises
    ------
    InputError
        If a file cannot be read, or says something that is wrong.
    """
    from pathlib import Path

    from hexplan.reading import read_spec as read

    return read(Path(path), [Path(overlay) for overlay in overlays])


def solve(spec: Spec, options: SolveOptions | None = None, report: Report | None = None) -> Plan:
    """Find a plan for the objective of a spec; see `hexplan_solver.solve`."""
    from hexplan_solver import solve as find_plan
    from hexplan_solver.options import be_silent

    return find_plan(spec, options, report or be_silent)


def check_plan(plan: Plan) -> tuple[Violation, ...]:
    """Return every rule that a plan breaks, in exact arithmetic; empty for a sound plan."""
    from hexplan.check import check_plan as check

    return check(plan)
