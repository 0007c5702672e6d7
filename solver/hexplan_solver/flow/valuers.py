"""Valuers: they compute the flow of one placement after another fast, for a local search."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from hexplan.constants import MICRO
from hexplan_solver.flow.evaluate import Evaluated
from hexplan_solver.flow.flow_program import FlowProgram, Limiting
from hexplan_solver.flow.network import build_network
from hexplan_solver.flow.site_flow import suits_site_lp
from hexplan_solver.flow.site_lp import SiteLp
from hexplan_solver.placement.placement import Placement
from hexplan_solver.problem.problem import Problem


class Valuer(Protocol):
    """Computes the flow of a placement."""

    limiting: Limiting
    """Which stages limit the flow computed last, by host and layers; empty where it is unknown."""

    def flow(self, placement: Placement) -> int:
        """Return the flow in 1e-6 tokens/s, up to the tolerance of an LP."""
        ...


def valuer_for(evaluated: Evaluated) -> Valuer:
    """Choose the valuer for many placements like an evaluated one."""
    problem = evaluated.problem
    return SiteValuer(problem) if suits_site_lp(evaluated.network) else FlowProgram(problem)


@dataclass(slots=True)
class SiteValuer:
    """Computes the flow by the site LP, which ignores single links and network cards."""

    problem: Problem
    limiting: Limiting = field(default=frozenset(), init=False)

    def flow(self, placement: Placement) -> int:
        """Return the flow in 1e-6 tokens/s."""
        return int(SiteLp(build_network(self.problem.spec, placement)).solve().value * MICRO)
