"""The functions of `import hexplan`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import hexplan

LAPTOP = Path(__file__).parents[2] / "cluster_specs" / "laptop.yaml"


def test_a_spec_is_read_solved_and_checked_through_one_import() -> None:
    plan = hexplan.solve(hexplan.read_spec(str(LAPTOP)))
    assert plan.objective == hexplan.read_spec(LAPTOP).objective
    assert hexplan.check_plan(plan) == ()


def test_every_public_name_has_a_docstring() -> None:
    assert all(getattr(hexplan, name).__doc__ for name in hexplan.__all__)


def test_the_import_alone_loads_no_solver_and_no_model_of_pydantic() -> None:
    loaded = "sorted({'hexplan_solver', 'pydantic', 'numpy'} & set(sys.modules))"
    code = f"import sys, hexplan; print({loaded})"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"
