"""One cell of the planner's table: a spec solved by a method, in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path

from hexplan.check import check_plan
from hexplan.errors import HexplanError
from hexplan.plan import Plan
from hexplan.plan_file import read_plan, write_plan
from hexplan.reading import read_spec
from hexplan_solver import SolveOptions, solve


@dataclass(frozen=True, slots=True)
class Cell:
    """The result of one solve."""

    spec: str
    method: str
    plan: Plan | None
    """The plan, where one was found."""
    why: str
    """The message, where there is none."""
    peak_bytes: int
    """Peak memory of the process, including Python and all imports."""

    @property
    def flow(self) -> float:
        """Tokens/s; 0 without a plan."""
        return float(self.plan.certificate.flow_tokens_per_s) if self.plan else 0.0


def lowest_bound(plan: Plan) -> Decimal:
    """Return the lowest bound that a plan states, proved or trusted, in tokens/s."""
    certificate = plan.certificate
    trusted = certificate.trusted
    proved = certificate.bound_tokens_per_s
    return proved if trusted is None else min(proved, trusted.tokens_per_s)


def run_cell(spec: Path, method: str, time_limit_s: float) -> Cell:
    """Solve a spec for flow by a method, in a child process, and check the plan here.

    Raises
    ------
    RuntimeError
        If the plan breaks a rule.
    """
    with tempfile.TemporaryDirectory() as folder:
        output, said = Path(folder) / "plan.json", Path(folder) / "stderr"
        command = [sys.executable, __file__, str(spec), method, f"{time_limit_s:g}", str(output)]
        with said.open("w") as stderr:
            child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=stderr)  # noqa: S603
            # Not `wait`: this call reports the memory of this child alone.
            _, status, usage = os.wait4(child.pid, 0)
            child.returncode = os.waitstatus_to_exitcode(status)
        plan = read_plan(output) if child.returncode == 0 else None
        why = "" if plan else said.read_text().strip().rpartition("\n")[2]
    if plan and (violations := check_plan(plan)):
        message = f"{spec} by {method}: {violations[0]}"
        raise RuntimeError(message)
    return Cell(spec.stem, method, plan, why, usage.ru_maxrss * 1024)


def _solve(spec: str, method: str, time_limit_s: str, output: str) -> None:
    """Solve a spec for flow, whatever it asks for, since published methods plan for nothing else.

    The time limit begins with the search, as the table's times do.
    """
    asked = replace(read_spec(Path(spec)), objective="throughput")
    options = SolveOptions(time_limit_s=float(time_limit_s), method=method)
    try:
        write_plan(solve(asked, options), Path(output))
    except HexplanError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    _solve(*sys.argv[1:])
