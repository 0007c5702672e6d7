"""Published placements of the Helix clusters, as stages of ours."""

from __future__ import annotations

import json
from pathlib import Path

from hexplan.spec import Spec
from hexplan_solver.placement.placement import PlacedStage
from hexplan_solver.problem.problem import Problem, build_problem

FOLDER = Path(__file__).parents[2] / "benchmarks" / "published"


def published_stages(spec: Spec, name: str) -> list[PlacedStage]:
    """Read `name` (SPEC__METHOD) and give every stage its measured speed."""
    problem = build_problem(spec)
    placement: dict[str, list[int]] = json.loads((FOLDER / f"{name}.json").read_text())
    return [_stage(problem, host, (first, end)) for host, (first, end) in placement.items()]


def _stage(problem: Problem, host: str, layers: tuple[int, int]) -> PlacedStage:
    kind = next(k for k in problem.kinds if host in problem.classes[k.host_class].hosts)
    return PlacedStage(layers, host, (0,), kind.index, kind.rates.of(*layers))
