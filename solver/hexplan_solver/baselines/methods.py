"""The published methods by name, and what they place on a cluster without a solver."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from hexplan.errors import LimitReached
from hexplan_solver.baselines.helix.milp import place_helix
from hexplan_solver.baselines.hexgen import place_hexgen
from hexplan_solver.baselines.petals import place_petals
from hexplan_solver.baselines.ram import place_ram
from hexplan_solver.baselines.result import PlacementMethod
from hexplan_solver.baselines.separate import place_separate
from hexplan_solver.baselines.swarm import place_swarm
from hexplan_solver.baselines.symmetric import place_symmetric
from hexplan_solver.baselines.tflops import place_tflops
from hexplan_solver.flow.evaluate import Evaluated, evaluate_used
from hexplan_solver.flow.stacking import most_flow
from hexplan_solver.options import be_silent
from hexplan_solver.problem.problem import Problem
from hexplan_solver.run import Run

BASELINES: Mapping[str, PlacementMethod] = MappingProxyType(
    {
        "helix-milp": place_helix,
        "petals": place_petals,
        "swarm": place_swarm,
        "separate": place_separate,
        "ram": place_ram,
        "tflops": place_tflops,
        "hexgen": place_hexgen,
        "symmetric": place_symmetric,
    }
)
"""How each published method places the layers (docs/baselines.md)."""

OWN_GROUPS = frozenset({"hexgen", "symmetric"})
"""Methods that choose tensor-parallel groups themselves."""

QUICK = ("symmetric", "separate", "swarm", "petals", "tflops", "ram", "hexgen")
"""Methods whose placements the search begins from, the longest last; `helix-milp` takes minutes."""

BASELINE_START = 0.5
"""Share of the best flow that a placement must pass without links to be evaluated: the local search
starts from none with less (`LinkParams.hopeful`)."""


def quick_placements(
    run: Run, problem: Problem, time_limit_s: float, reached: int = 0
) -> list[Evaluated]:
    """Return the placements of the quick methods with their flows, the largest flow first.

    Methods that do not support the pins of the cluster are left out.

    Parameters
    ----------
    time_limit_s
        Seconds for all of them together, even if the run has no time left; each may take half of
        what is left of them. `hexgen`, which takes as long as it may, gets none that the run lacks.
    reached
        A known flow, in 1e-6 tokens/s, that the links carry; only placements that may pass more are
        of use.
    """
    cluster = problem.spec.cluster
    if cluster.layer_pins or run.options.stop.is_set():
        return []
    found: list[Evaluated] = []
    until = run.elapsed_s + time_limit_s
    for name in QUICK:
        left_s = until - run.elapsed_s
        if (cluster.group_pins and name in OWN_GROUPS) or left_s <= 0:
            continue
        limit_s = min(left_s / 2, run.left_s) if name == QUICK[-1] else left_s / 2
        nested = Run(problem.spec, run.nested(limit_s), be_silent)
        nested.proved, nested.trusted = run.proved, run.trusted
        try:
            placement = BASELINES[name](nested, problem).placement
        except LimitReached:
            continue
        # A placement that passes little even without links is no start, and may take long.
        best = max((evaluated.value for evaluated in found), default=0)
        least = max(BASELINE_START * best, reached + 1)
        if most_flow(placement, problem.num_layers) >= least:
            found.append(evaluate_used(problem, placement))
    return sorted((e for e in found if e.value), key=lambda e: -e.value)
