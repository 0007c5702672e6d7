"""The rate that a plan has to carry, and the error if no plan does."""

from __future__ import annotations

import math
from decimal import Decimal
from fractions import Fraction

from hexplan.constants import MICRO
from hexplan.errors import HexplanError, InfeasibleError, InputError, LimitReached
from hexplan.spec import Spec
from hexplan_solver.plans.draft import Draft
from hexplan_solver.plans.predicted import rate


def needed_flow(spec: Spec) -> int:
    """Return the flow in 1e-6 tokens/s that carries the workload's request rate, rounded up.

    Raises
    ------
    InputError
        If the workload states no rate.
    """
    asked = spec.workload.request_rate_per_s
    if asked is None:
        message = f"the objective `{spec.objective}` needs `workload.request_rate`"
        raise InputError(message, hint="such as `request_rate: 5/s`")
    # `repr` gives the decimal that the user wrote, not the binary number nearest to it.
    return math.ceil(Fraction(Decimal(repr(asked))) * spec.workload.mean_tokens * MICRO)


def too_high(spec: Spec, best: Draft | None, bound: int, how: str) -> HexplanError:
    """Return the error for a rate that is proved impossible or that no plan found carries."""
    tokens = spec.workload.mean_tokens * MICRO
    asked = spec.workload.request_rate_per_s or 0.0
    most = f"at most {_down(bound / tokens)} requests/s"
    found = ""
    if best is not None:
        carried = float(rate(best.value // spec.workload.mean_tokens))
        found = f"the best plan found carries {_down(carried)} requests/s"
    if needed_flow(spec) > bound:
        message = f"no plan carries the rate: {most}; asked {asked:g} ({how})"
        hint = "lower `workload.request_rate`, or add hosts"
        if spec.objective == "latency":
            hint += "; no plan that was found serves it either"
        return InfeasibleError(message, hint=f"{hint}; {found}" if found else hint)
    message = f"no plan was found that carries {asked:g} requests/s: {found or 'none at all'}"
    return LimitReached(message, hint=f"{most} are possible ({how}); raise `limits.time`")


def overloaded(spec: Spec, served_per_s: float) -> LimitReached:
    """Return the error for a rate that flows carry, but no plan that was found serves."""
    asked = spec.workload.request_rate_per_s or 0.0
    message = (
        f"no plan was found that carries {asked:g} requests/s:"
        f" the best one serves about {_down(served_per_s)}"
    )
    hint = "lower `workload.request_rate`, or add hosts; `objective: sustained` plans for the most"
    return LimitReached(message, hint=f"{hint} that can be served")


def _down(rate: float) -> str:
    """Write a rate to 4 digits, rounded down."""
    digits = 3 - math.floor(math.log10(rate)) if rate > 0 else 0
    scale = 10.0**digits
    return f"{math.floor(rate * scale) / scale:.4g}"
