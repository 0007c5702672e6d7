"""The verdict: every rule on every part of a plan."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from hexplan.check.bound.proof import bound_violations
from hexplan.check.bound.trusted import trusted_violations
from hexplan.check.engine.misfits import misfit_violations
from hexplan.check.figures.balance import balance_violations
from hexplan.check.figures.band import band_violations
from hexplan.check.figures.cost import cost_violations
from hexplan.check.figures.limits import limit_violations
from hexplan.check.figures.magnitudes import grid_violations, magnitude_violations
from hexplan.check.figures.prediction import prediction_violations
from hexplan.check.figures.promise import promise_violations
from hexplan.check.figures.repeated import repeated_violations
from hexplan.check.figures.sustained import sustained_violations
from hexplan.check.flow.certificate import certificate_violations
from hexplan.check.flow.edges import flow_violations
from hexplan.check.flow.handovers import handover_violations
from hexplan.check.flow.routes import route_flow_violations, route_violations
from hexplan.check.flow.shares import share_violations
from hexplan.check.lookup import Lookup
from hexplan.check.placement.facts import fact_violations
from hexplan.check.placement.joining import joining_violations
from hexplan.check.placement.occupancy import placement_violations
from hexplan.check.placement.pins import pin_violations
from hexplan.check.placement.references import (
    are_hops_known,
    is_flow_known,
    reference_violations,
)
from hexplan.check.rule import Violation
from hexplan.check.stage.lanes import lane_violations
from hexplan.check.stage.memory import memory_violations, step_violations
from hexplan.check.stage.offloading import offload_violations
from hexplan.check.stage.origin import origin_violations
from hexplan.check.stage.shards import shard_violations
from hexplan.check.stage.sharing import sharing_violations
from hexplan.check.stage.speed import speed_violations
from hexplan.plan import Plan
from hexplan.predicted import Predicted

RuleFamily = Callable[[Lookup], Iterator[Violation]]

STAGE_FAMILIES: tuple[RuleFamily, ...] = (
    reference_violations,
    fact_violations,
    joining_violations,
    placement_violations,
    pin_violations,
    shard_violations,
    lane_violations,
    offload_violations,
    sharing_violations,
    misfit_violations,
    memory_violations,
    step_violations,
    speed_violations,
    origin_violations,
    grid_violations,
    prediction_violations,
    cost_violations,
    sustained_violations,
    balance_violations,
    trusted_violations,
    bound_violations,
    promise_violations,
)
"""These judge each part by itself, and skip parts that refer to unknown names."""


def proof_violations(lookup: Lookup) -> Iterator[Violation]:
    """Yield what is wrong with the certificate, or else with the figures derived from it."""
    violations = list(certificate_violations(lookup))
    yield from violations or band_violations(lookup)


FLOW_FAMILIES: tuple[RuleFamily, ...] = (
    flow_violations,
    share_violations,
    route_flow_violations,
    proof_violations,
)
"""These sum over the whole plan, so every name in the flow must be known."""


def check_plan(plan: Plan, repeated: Predicted | None = None) -> tuple[Violation, ...]:
    """Return every violation, by rule and then in the order of the plan.

    Parameters
    ----------
    repeated
        The prediction with its simulated figures computed again, if somebody did that.
    """
    beyond_reason = tuple(magnitude_violations(plan))
    if beyond_reason:
        return beyond_reason
    again = () if repeated is None else tuple(repeated_violations(plan, repeated))
    lookup = Lookup.of(plan)
    families = list(STAGE_FAMILIES)
    if is_flow_known(lookup):
        families += FLOW_FAMILIES
        if are_hops_known(lookup):
            families += [route_violations, handover_violations]
    violations = [violation for family in families for violation in family(lookup)]
    # What is possible is only told of a plan that holds together.
    violations = violations or list(limit_violations(lookup))
    return tuple(sorted([*violations, *again], key=lambda violation: violation.rule))
