"""What every part of the search for a placement that suits the links works with."""

from __future__ import annotations

from dataclasses import dataclass

from hexplan_solver.flow.valuers import Valuer
from hexplan_solver.links.params import LinkParams
from hexplan_solver.problem.problem import Problem
from hexplan_solver.run import Run


@dataclass(frozen=True, slots=True)
class LinkSearch:
    """One search for a placement that suits the links."""

    run: Run
    """The solve it is part of, with its clock and its bound."""
    problem: Problem
    valuer: Valuer
    """Computes the flow of a placement over the links."""
    params: LinkParams
