"""Take a plan apart into whole replicas: chains of stages that share none."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_DOWN, Decimal

from hexplan.constants import WEIGHT_DIGITS
from hexplan.engines import Engine, Misfit, MisfitKind, misfits
from hexplan.errors import CannotExpress
from hexplan.export.chains import Chain, chains_of
from hexplan.export.disjoint import Carried, best_disjoint
from hexplan.plan import Plan, Route, Stage

_NOT_WHOLE = frozenset({MisfitKind.SHARED_STAGE, MisfitKind.ENTERED_INSIDE})
_MOST_SHOWN = 3


@dataclass(frozen=True, slots=True)
class WholePlan:
    """A plan of whole replicas, with the flow that it has and that of the plan it comes from."""

    plan: Plan
    """A replica for each route; its stages hold what their routes run."""
    planned_tokens_per_s: Decimal
    """The flow of the plan as it was."""
    tokens_per_s: Decimal
    """The flow of the replicas."""
    is_decomposed: bool
    """Whether routes were left out or changed."""

    @property
    def loss(self) -> Decimal:
        """The share of the planned flow that is lost; below 0 if none is."""
        return 1 - self.tokens_per_s / self.planned_tokens_per_s


def whole_plan(plan: Plan, engine: Engine, *, disjoint: bool) -> WholePlan:
    """Return a plan's replicas for an engine.

    Parameters
    ----------
    disjoint
        Whether a plan with shared stages is decomposed; else it is refused.

    Raises
    ------
    CannotExpress
        The engine cannot run the plan, or none of its chains.
    """
    flow = plan.certificate.flow_tokens_per_s
    found = misfits(plan, engine)
    if not found:
        return WholePlan(plan, flow, flow, is_decomposed=False)
    if not disjoint:
        raise _refusal(plan, engine, found)
    return _decomposed(plan, engine, found)


def _decomposed(plan: Plan, engine: Engine, found: tuple[Misfit, ...]) -> WholePlan:
    fitting = [chain for chain in chains_of(plan) if not misfits(_alone(plan, chain), engine)]
    carried = best_disjoint(plan, fitting)
    if not carried:
        rest = tuple(one for one in found if one.kind not in _NOT_WHOLE) or found
        raise _refusal(plan, engine, rest)
    return WholePlan(
        _plan_of(plan, carried),
        plan.certificate.flow_tokens_per_s,
        sum((one.tokens_per_s for one in carried), Decimal(0)),
        is_decomposed=True,
    )


def _refusal(plan: Plan, engine: Engine, found: tuple[Misfit, ...]) -> CannotExpress:
    lines = []
    for one in found[:_MOST_SHOWN]:
        routes = _routes_through(plan, one) if one.kind in _NOT_WHOLE else ""
        lines.append(f"{one.where}: {one.sentence}{routes}")
    if len(found) > _MOST_SHOWN:
        lines.append(f"and {len(found) - _MOST_SHOWN} more")
    hint = found[0].hint
    if any(one.kind in _NOT_WHOLE for one in found):
        solve = f"solve with `limits: {{engine: {engine.name}}}`"
        hint = f"{solve}, or export the best whole replicas with `--disjoint`"
    return CannotExpress(f"{engine.title} cannot run this plan\n" + "\n".join(lines), hint=hint)


def _routes_through(plan: Plan, misfit: Misfit) -> str:
    """Name the routes through a shared stage."""
    stage = misfit.where.removeprefix("stage ")
    through = [
        str(index)
        for index, route in enumerate(plan.routes)
        if stage in {hop.stage for hop in route.hops}
    ]
    return f" (routes {', '.join(through)})" if len(through) > 1 else ""


def _alone(plan: Plan, chain: Chain) -> Plan:
    """Return a plan with one chain, which carries all that it can."""
    return _plan_of(plan, (Carried(chain, Decimal(1)),))


def _plan_of(plan: Plan, carried: tuple[Carried, ...]) -> Plan:
    """Return the plan with these chains as its routes, each stage with the layers that run there.

    The result names what to start; it has no certificate or prediction of its own.
    """
    held = {s.id: s for s in plan.stages}
    total = sum((one.tokens_per_s for one in carried), Decimal(0))
    unit = Decimal(1).scaleb(-WEIGHT_DIGITS)
    routes = [
        Route(
            hops=one.chain.hops,
            tokens_per_s=one.tokens_per_s,
            weight=(one.tokens_per_s / total).quantize(unit, ROUND_DOWN),
        )
        for one in carried
    ]
    stages = [_trimmed(held[h.stage], h.enter_layer) for one in carried for h in one.chain.hops]
    return plan.model_copy(update={"routes": tuple(routes), "stages": tuple(stages)})


def _trimmed(stage: Stage, first: int) -> Stage:
    """Return a stage without the layers before the one at which its only route enters."""
    return stage.model_copy(update={"layers": (first, stage.layers[1])})
