"""What a plan predicts: its rates, how far they may be off, and what they rest on.

See docs/formulation.md 4.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

from hexplan.constants import FIGURE_DIGITS, RATE_DIGITS, WEIGHT_DIGITS
from hexplan.plan import CutTerm, Stage
from hexplan.predicted import Basis, Predicted
from hexplan_solver.plans.draft import Draft
from hexplan_solver.problem.shards import split

LINKS = "links"
"""The origin of the capacities of links, NICs and trunks."""
RATE_UNIT = Decimal(1).scaleb(-RATE_DIGITS)


def rate(micro: int) -> Decimal:
    """Convert a whole number of 1e-6 tokens/s to tokens/s, exactly."""
    return Decimal(micro).scaleb(-RATE_DIGITS)


def figure(value: float) -> Decimal:
    """Round a simulated or computed figure as a plan states it."""
    return Decimal(str(round(value, FIGURE_DIGITS)))


def predicted(draft: Draft, stages: Sequence[Stage]) -> Predicted:
    """Return what a plan predicts.

    If no stage is slower than its error allows, the flow less the largest error is possible. If
    none is faster, the prices of the cut prove that no flow exceeds its terms, each raised by its
    error.
    """
    flow, latency = draft.evaluated.flow, draft.latency
    by_name = {f"stage:{stage.id}": stage for stage in stages}
    worst = max(stage.speed_error for stage in stages if stage.load_tokens_per_s)
    least = rate(flow.value) * (1 - worst)
    most = sum((_raised(term, by_name.get(term.constraint)) for term in flow.cut), Decimal(0))
    mean_tokens = draft.evaluated.problem.spec.workload.mean_tokens
    return Predicted(
        tokens_per_s=rate(flow.value),
        requests_per_s=rate(flow.value // mean_tokens),
        least_tokens_per_s=least.quantize(RATE_UNIT, ROUND_FLOOR),
        most_tokens_per_s=most.quantize(RATE_UNIT, ROUND_CEILING),
        rests_on=_bases(flow.cut, by_name),
        cost_usd_per_h=draft.cost_usd_per_h,
        slo_requests_per_s=_rounded(draft.slo_requests_per_s),
        ttft_s=None if latency is None else _rounded(latency.ttft_s),
        tpot_s=None if latency is None else _rounded(latency.tpot_s),
        latency_basis=None if latency is None else latency.basis,
        run=None if latency is None else latency.run,
        sustained=draft.sustained,
        balance=draft.balance,
    )


def _rounded(value: float | None) -> Decimal | None:
    return None if value is None else figure(value)


def _raised(term: CutTerm, stage: Stage | None) -> Decimal:
    error = stage.speed_error if stage else Decimal(0)
    return term.price * term.capacity * (1 + error)


def _bases(cut: Sequence[CutTerm], by_name: dict[str, Stage]) -> tuple[Basis, ...]:
    """Return the share of the cut's value that rests on each origin, largest first."""
    values: dict[str, Decimal] = defaultdict(Decimal)
    for term in cut:
        stage = by_name.get(term.constraint)
        values[stage.speed_origin if stage else LINKS] += term.price * term.capacity
    ordered = sorted(values, key=lambda origin: (-values[origin], origin))
    # In units far smaller than those of the shares, even if the cut is small.
    whole = sum(values.values(), Decimal(0)) or Decimal(1)
    amounts = [int((values[origin] / whole).scaleb(2 * WEIGHT_DIGITS)) for origin in ordered]
    shares = split(10**WEIGHT_DIGITS, amounts)
    return tuple(
        Basis(origin=origin, share=Decimal(share).scaleb(-WEIGHT_DIGITS))
        for origin, share in zip(ordered, shares, strict=True)
    )
