"""Routes that are held back: what they would carry of the largest flow."""

from __future__ import annotations

from fractions import Fraction

from hexplan.check.exact import exact
from hexplan.plan import Plan
from hexplan.workload import HeldBack


def held_back(plan: Plan) -> HeldBack | None:
    """Return which routes a plan holds back; None under any objective but balanced."""
    balance = plan.predicted.balance
    return balance.held_back if plan.objective == "balanced" and balance is not None else None


def held_rest(plan: Plan, held: HeldBack) -> Fraction:
    """Return the tokens/s that the routes held back leave, up to 1e-6 over the part for each.

    Positions that no route has count for nothing.
    """
    carried = sum(
        (exact(plan.routes[i].tokens_per_s) for i in set(held.routes) if i < len(plan.routes)),
        Fraction(0),
    )
    return carried / exact(held.part) - carried
