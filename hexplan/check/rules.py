"""All rules, in the order of their ids; each is defined beside the function that checks it."""

from __future__ import annotations

from hexplan.check import stale, warnings
from hexplan.check.bound import rules as bound_rules
from hexplan.check.bound import trusted
from hexplan.check.engine import misfits
from hexplan.check.figures import (
    balance,
    band,
    cost,
    limits,
    magnitudes,
    prediction,
    promise,
    repeated,
    sustained,
)
from hexplan.check.flow import certificate, edges, handovers, routes, shares
from hexplan.check.placement import facts, joining, occupancy, pins, references
from hexplan.check.rule import Rule
from hexplan.check.stage import lanes, memory, offloading, origin, shards, sharing, speed

_MODULES = (
    *(balance, band, cost, limits, magnitudes, prediction, promise, sustained),
    *(certificate, edges, handovers, routes, shares),
    *(facts, joining, occupancy, pins, references),
    *(lanes, memory, offloading, origin, shards, sharing, speed),
    *(bound_rules, trusted, misfits),
)
_DEFINED = (value for module in _MODULES for value in vars(module).values())
REPEATED_RULES = (repeated.NOT_REPEATED,)
"""Rules that need simulations to be run again."""
RULES = tuple(sorted((v for v in _DEFINED if isinstance(v, Rule)), key=lambda rule: rule.id))
ALL_RULES = (*warnings.WARNINGS, *RULES, *REPEATED_RULES, stale.PLAN_STALE)
"""With those that `--strict`, `--simulate` and `--cluster` add, in the order of their ids."""
