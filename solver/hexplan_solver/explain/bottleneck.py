"""What is used up, in the user's words, and what more of it alone would bring."""

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

SHARE_STEP = Decimal("0.000001")


def bottleneck_of(spec: Spec, plan: Plan, stages: Sequence[PlacedStage]) -> tuple[Binding, ...]:
    """List the capacities of the cut; `stages` are those of the plan, in its order."""
    flow, by_id = plan.certificate.flow_tokens_per_s, {stage.id: stage for stage in plan.stages}
    return tuple(
        Binding(
            constraint=term.constraint,
            subject=in_words(term.constraint, by_id),
            capacity=term.capacity,
            price=term.price,
            share=(term.price * term.capacity / flow).quantize(SHARE_STEP),
            alone_tokens_per_s=_alone(spec, plan, stages, term.constraint),
        )
        for term in plan.certificate.cut
    )


def _alone(spec: Spec, plan: Plan, stages: Sequence[PlacedStage], constraint: str) -> Decimal:
    """Return what the flow gains where one capacity is doubled: an exact max-flow."""
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
