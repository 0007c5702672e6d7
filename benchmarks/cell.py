"""One cell of the planner's table: a spec solved by a method, in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from hexplan.check import check_plan
from hexplan.plan import Plan
from hexplan.plan_file import read_plan


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
    """Solve a spec by a method in a child process, and check the plan here.

    Raises
    ------
    RuntimeError
        If the plan breaks a rule.
    """
    with tempfile.TemporaryDirectory() as folder:
        output, said = Path(folder) / "plan.json", Path(folder) / "stderr"
        command = [sys.executable, "-m", "hexplan", "solve", str(spec), "--quiet"]
        command += ["--method", method, "--time-limit", f"{time_limit_s:g}s", "-o", str(output)]
        with said.open("w") as stderr:
            child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=stderr)  # noqa: S603
            # Not `wait`: this call reports the memory of this child alone.
            _, status, usage = os.wait4(child.pid, 0)
            child.returncode = os.waitstatus_to_exitcode(status)
        plan = read_plan(output) if child.returncode == 0 else None
        why = "" if plan else said.read_text().partition("\n")[0].removeprefix("error: ")
    if plan and (violations := check_plan(plan)):
        message = f"{spec} by {method}: {violations[0]}"
        raise RuntimeError(message)
    return Cell(spec.stem, method, plan, why, usage.ru_maxrss * 1024)
