"""The capacities that limit a plan's flow, and the gain if one of them alone were larger."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal

from hexplan.constants import MICRO
from hexplan.plan import Plan
from hexplan.results.capacity import in_words
from hexplan.results.explanation import Binding
from hexplan.spec import Spec
from hexplan_solver.explain.changes import faster_one
from hexplan_solver.flow.max_flow import max_flow
from hexplan_solver.flow.network import build_network
from hexplan_solver.placement.placement import PlacedStage

SHARE_UNIT = Decimal("0.000001")
"""Shares are rounded to multiples of this."""


def bottleneck_of(spec: Spec, plan: Plan, stages: Sequence[PlacedStage]) -> tuple[Binding, ...]:
    """List the capacities that the certificate prices; `stages` are the plan's, in its order."""
    flow, by_id = plan.certificate.flow_tokens_per_s, {stage.id: stage for stage in plan.stages}
    return tuple(
        Binding(
            constraint=term.constraint,
            subject=in_words(term.constraint, by_id),
            capacity=term.capacity,
            price=term.price,
            share=(term.price * term.capacity / flow).quantize(SHARE_UNIT),
            alone_tokens_per_s=_alone(spec, plan, stages, term.constraint),
        )
        for term in plan.certificate.cut
    )


def _alone(spec: Spec, plan: Plan, stages: Sequence[PlacedStage], constraint: str) -> Decimal:
    """Return by how much the exact max-flow grows if one capacity is doubled, in tokens/s."""
    kind, _, name = constraint.partition(":")
    if kind == "stage":
        stages = [
            replace(stage, rate=2 * stage.rate) if told.id == name else stage
            for told, stage in zip(plan.stages, stages, strict=True)
        ]
    else:
        change = faster_one(plan, spec, constraint)
        spec = spec if change is None else change.spec
    found = Decimal(max_flow(build_network(spec, stages)).value) / MICRO
    return max(Decimal(0), found - plan.certificate.flow_tokens_per_s)
