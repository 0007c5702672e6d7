"""The balance: latencies that the objective `balanced` allows, and those of the plan."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

from hexplan.check.exact import exact
from hexplan.check.lookup import Lookup
from hexplan.check.rule import Rule, Violation
from hexplan.check.text import number
from hexplan.constants import FIGURE_DIGITS
from hexplan.workload import Balance, HeldBack

FIGURE_STEP = Fraction(1, 10**FIGURE_DIGITS)
"""Latencies are rounded to this, and those of the shallowest plan before they are multiplied."""

BALANCE_WRONG = Rule(
    "HEX730",
    "balance-wrong",
    "Under the objective balanced with chunked prompts, a plan states a sustained rate, its mean"
    " TTFT and TPOT, and which are allowed; its own are no longer than these. The factor is that of"
    " the cluster, the latencies are judged by a simulation only where there is one, and no other"
    " objective states a balance. Routes that are held back are some of the plan's, not all, each"
    " named once and in order.",
)


def balance_violations(lookup: Lookup) -> Iterator[Violation]:
    """Yield what is missing from a balance, or contradicts it."""
    plan = lookup.plan
    balance, where = plan.predicted.balance, "prediction, balance"
    if plan.objective != "balanced":
        if balance is not None:
            yield BALANCE_WRONG.at(where, f"the objective {plan.objective} states none")
        return
    if plan.predicted.sustained is None:
        yield BALANCE_WRONG.at(where, "the objective balanced needs a sustained rate")
    if balance is not None:
        yield from _stated(lookup, balance)
    elif plan.cluster.limits.policy == "chunked":
        yield BALANCE_WRONG.at(where, "the objective balanced needs one")


def _stated(lookup: Lookup, balance: Balance) -> Iterator[Violation]:
    predicted, where = lookup.plan.predicted, "prediction, balance"
    if balance.held_back is not None:
        yield from _held_back(lookup, balance.held_back)
    factor = lookup.plan.cluster.limits.latency_factor
    if balance.factor != factor:
        message = f"its factor is {number(exact(balance.factor))}, the cluster's is {factor}"
        yield BALANCE_WRONG.at(where, message)
    sustained = predicted.sustained
    if balance.judged_by == "simulation" and (sustained is None or sustained.simulated is None):
        yield BALANCE_WRONG.at(where, "it rests on a simulation, and none is stated")
    for name, own, most in (
        ("ttft_s", predicted.ttft_s, balance.ttft_s),
        ("tpot_s", predicted.tpot_s, balance.tpot_s),
    ):
        if own is None:
            yield BALANCE_WRONG.at(f"prediction, {name}", "the objective balanced needs it")
        elif exact(own) > exact(most) + exact(balance.factor) * FIGURE_STEP:
            message = f"states {number(exact(own))} s, allowed are {number(exact(most))} s"
            yield BALANCE_WRONG.at(f"prediction, {name}", message)


def _held_back(lookup: Lookup, held: HeldBack) -> Iterator[Violation]:
    where, count = "prediction, balance, held_back", len(lookup.plan.routes)
    if list(held.routes) != sorted(set(held.routes)) or held.routes[-1] >= count:
        message = f"names routes {', '.join(map(str, held.routes))} of {count}"
        yield BALANCE_WRONG.at(where, message)
    elif len(held.routes) == count:
        yield BALANCE_WRONG.at(where, "no route takes what the others leave")
