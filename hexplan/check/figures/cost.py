"""Cost: the rent of the hosts in use, and what is proved about it."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

from hexplan.check.exact import RATE_STEP, exact
from hexplan.check.lookup import Lookup
from hexplan.check.rule import Rule, Violation
from hexplan.check.text import number
from hexplan.constants import NO_COST_PROOF, TRUSTED_COST
from hexplan.host import Host

COST_BOUND_WRONG = Rule(
    "HEX713",
    "cost-bound-wrong",
    "The bound on the cost is at most the cost, and the gap is (cost - bound) / bound, rounded up"
    " by at most 1e-6. Above 0 it is said to be trusted, as the check does not compute it again."
    " Only a plan for the objective cost has one.",
)


def cost_violations(lookup: Lookup) -> Iterator[Violation]:
    """Yield a cost that is not the sum of the rents, and a bound or gap that does not follow."""
    yield from _cost(lookup)
    certificate = lookup.plan.certificate
    cost, bound = lookup.plan.predicted.cost_usd_per_h, certificate.cost_bound_usd_per_h
    yield from _words(lookup)
    if cost is None or bound is None:
        return
    if bound > cost:
        message = f"bound {number(bound)} USD/h is above the cost {number(cost)} USD/h"
        yield COST_BOUND_WRONG.at("certificate, cost bound", message)
    elif bound:
        stated, gap = certificate.cost_gap, (exact(cost) - exact(bound)) / exact(bound)
        if stated is None or not gap <= exact(stated) <= gap + RATE_STEP:
            shown = "nothing" if stated is None else number(stated)
            message = f"states {shown}, but the gap is {number(gap)}, rounded up by at most 1e-6"
            yield COST_BOUND_WRONG.at("certificate, cost gap", message)


def _words(lookup: Lookup) -> Iterator[Violation]:
    """Yield a bound or gap without its ground, and a ground that claims too much."""
    certificate = lookup.plan.certificate
    bound, proof = certificate.cost_bound_usd_per_h, certificate.cost_proof
    where = "certificate, cost bound"
    if (bound is not None) != (lookup.plan.objective == "cost"):
        message = "the objective cost has one, and no other objective has"
        yield COST_BOUND_WRONG.at(where, message)
    elif bound is None and (proof is not None or certificate.cost_gap is not None):
        yield COST_BOUND_WRONG.at(where, "states a proof or a gap, but no bound")
    elif bound is not None:
        is_said = proof == NO_COST_PROOF if not bound else (proof or "").startswith(TRUSTED_COST)
        if not is_said:
            needed = NO_COST_PROOF if not bound else f"{TRUSTED_COST}..."
            yield COST_BOUND_WRONG.at(where, f"rests on: {proof}; needed: {needed}")
        if not bound and certificate.cost_gap is not None:
            yield COST_BOUND_WRONG.at("certificate, cost gap", "there is no gap to a bound of 0")


COST_WRONG = Rule(
    "HEX712",
    "cost-wrong",
    "The cost is the sum of the rents of the hosts in use, each at the price by which the plan"
    " takes it; under the objective cost it is stated.",
)


def _cost(lookup: Lookup) -> Iterator[Violation]:
    used = dict.fromkeys(stage.host for stage in lookup.plan.stages if stage.host in lookup.hosts)
    rents = {name: _rent(lookup.hosts[name]) for name in used}
    stated = lookup.plan.predicted.cost_usd_per_h
    if stated is None:
        if lookup.plan.objective == "cost":
            yield COST_WRONG.at("prediction, cost", "the objective cost needs one")
        return
    unknown = [name for name, rent in rents.items() if rent is None]
    if unknown:
        yield COST_WRONG.at("prediction, cost", f"host {unknown[0]} has no price")
        return
    total = sum((rent for rent in rents.values() if rent is not None), Fraction(0))
    if exact(stated) != total:
        message = f"states {number(stated)} USD/h, but the rents sum to {number(total)} USD/h"
        yield COST_WRONG.at("prediction, cost", message)


def _rent(host: Host) -> Fraction | None:
    if host.spot is not None and host.spot.is_taken:
        return exact(host.spot.price_usd_per_h)
    return None if host.price_usd_per_h is None else exact(host.price_usd_per_h)
