"""Forged bounds: what somebody could write into a certificate to make a plan look better."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal
from typing import TYPE_CHECKING

from support.changes import change_certificate

from hexplan.bound_proof import CoordinatorProof, CrossingProof, PatternProof, WorkProof
from hexplan.constants import EMPTY_BOX

if TYPE_CHECKING:
    from hexplan.bound_proof import BoundProof, ZoneProof
    from hexplan.plan import Plan

MICRO = Decimal("0.000001")


@dataclass(frozen=True, slots=True)
class Forgery:
    """A plan with a certificate that somebody changed, and what was done."""

    sentence: str
    plan: Plan


def stating(plan: Plan, bound: Decimal, proof: BoundProof, status: str = "feasible") -> Plan:
    """Return the plan with another bound and proof, and with the gap that follows."""
    flow = plan.certificate.flow_tokens_per_s
    return change_certificate(
        plan,
        bound_tokens_per_s=bound,
        gap=((bound - flow) / flow).quantize(MICRO, ROUND_CEILING),
        proof=proof,
        trusted=None,
        status=status,
    )


def forgeries(plan: Plan) -> Iterator[Forgery]:
    """Yield plans that claim a lower bound than is proved, in every way that comes to mind.

    The plan must leave a gap, since otherwise the lowest bound is a true one.
    """
    certificate = plan.certificate
    flow, bound, own = (
        certificate.flow_tokens_per_s,
        certificate.bound_tokens_per_s,
        certificate.proof,
    )
    yield Forgery("the bound is the flow", stating(plan, flow, own))
    yield Forgery("and the status says optimal", stating(plan, flow, own, "optimal"))
    half = ((flow + bound) / 2).quantize(MICRO)
    if own.kind not in ("pattern", "zone"):
        yield Forgery("half of the gap is gone", stating(plan, half, own))
        almost = (bound * Decimal("0.9999")).quantize(MICRO)
        yield Forgery("the bound is a little lower", stating(plan, max(flow, almost), own))
    others: tuple[BoundProof, ...] = (
        CoordinatorProof(),
        WorkProof(),
        CrossingProof(),
        PatternProof(prices=()),
    )
    for other in others:
        yield Forgery(f"the bound is the flow by {other.kind}", stating(plan, flow, other))
    if own.kind == "pattern":
        yield from _forged_prices(plan, own)
    if own.kind == "zone":
        yield from _forged_boxes(plan, own)


def _forged_boxes(plan: Plan, proof: ZoneProof) -> Iterator[Forgery]:
    """Yield boxes that are dropped, called empty or ruled out at once, with the proof's bound."""
    bound, flow = plan.certificate.bound_tokens_per_s, plan.certificate.flow_tokens_per_s
    whole = proof.most_tokens_per_s
    changes: dict[str, dict[str, object]] = {
        "no box": {"boxes": ()},
        "the last box is dropped": {"boxes": proof.boxes[:-1]},
        "one box too many": {"boxes": (*proof.boxes, EMPTY_BOX)},
        "a list of prices that is not there": {"boxes": (len(proof.prices),)},
        "all is called empty": {"boxes": (EMPTY_BOX,)},
        "zones may pass little": {"most_tokens_per_s": tuple(Decimal(1) for _ in whole)},
        "a zone is left out": {"zones": proof.zones[:-1], "most_tokens_per_s": whole[:-1]},
        "a zone is listed twice": {
            "zones": (*proof.zones, proof.zones[0]),
            "most_tokens_per_s": (*whole, whole[0]),
        },
    }
    for sentence, change in changes.items():
        yield Forgery(sentence, stating(plan, bound, proof.model_copy(update=change)))
    cheap = tuple(
        tuple(price.model_copy(update={"price": Decimal(0)}) for price in listed)
        for listed in proof.prices
    )
    free = proof.model_copy(update={"prices": cheap})
    yield Forgery("all prices are 0", stating(plan, bound, free))
    ruled = proof.model_copy(update={"boxes": (0,)})
    yield Forgery("the first prices rule all out", stating(plan, flow, ruled))


def _forged_prices(plan: Plan, proof: PatternProof) -> Iterator[Forgery]:
    """Yield prices that are scaled, dropped, moved or doubled, with the flow as the bound."""
    flow, prices = plan.certificate.flow_tokens_per_s, proof.prices

    def with_prices(sentence: str, *changed: object) -> Forgery:
        forged = proof.model_copy(update={"prices": changed})
        return Forgery(sentence, stating(plan, flow, forged))

    for factor in ("0", "0.001", "1000"):
        scaled = (p.model_copy(update={"price": p.price * Decimal(factor)}) for p in prices)
        yield with_prices(f"all prices times {factor}", *scaled)
    for index, price in enumerate(prices):
        rest = (*prices[:index], *prices[index + 1 :])
        yield with_prices(f"price {index} is dropped", *rest)
        for factor in ("0.5", "2"):
            other = price.model_copy(update={"price": price.price * Decimal(factor)})
            yield with_prices(f"price {index} times {factor}", *rest, other)
        stray = price.model_copy(update={"host": "nowhere"})
        yield with_prices(f"price {index} for a host that is not there", *rest, stray)
    yield with_prices("a price is listed twice", *prices, prices[0])
