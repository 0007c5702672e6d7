"""No solver prints to stdout: `solve --json` and the library's callers own it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import hexplan_solver

SOLVE = """
from hexplan_solver.quiet import quiet_highs
from pulp import LpMaximize, LpProblem
from hexplan_solver.budget import Budget
from hexplan_solver.milp import solve_milp
from hexplan_solver.options import SolveOptions

model = LpProblem("one", LpMaximize)
x = model.add_variable("x", 0, 3, "Integer")
model += x
print(solve_milp(model, SolveOptions(), Budget(5.0)).values)
highs = quiet_highs()
highs.addVar(0.0, 1.0)
highs.run()
"""


def test_the_answer_alone_reaches_stdout() -> None:
    ran = subprocess.run(  # noqa: S603
        [sys.executable, "-c", SOLVE], capture_output=True, text=True, check=True
    )
    assert ran.stdout == "{'x': 3.0}\n"
    assert ran.stderr == ""


def test_a_solver_runs_with_stdout_closed() -> None:
    closed = f"import os\nos.close(1)\n{SOLVE.replace('print(', '(')}"
    ran = subprocess.run([sys.executable, "-c", closed], capture_output=True, check=True)  # noqa: S603
    assert ran.stderr == b""


def test_no_other_code_makes_a_highs_object() -> None:
    solver = Path(hexplan_solver.__file__).parent
    makers = [path.name for path in solver.rglob("*.py") if "highspy.Highs()" in path.read_text()]
    assert makers == ["quiet.py"]
