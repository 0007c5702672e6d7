"""Whole replicas: chains of stages that share nothing, entered where they begin."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from hexplan.engines.engine import Engine
from hexplan.engines.misfit import Misfit, MisfitKind
from hexplan.plan import Plan


def whole_misfits(plan: Plan, engine: Engine) -> Iterator[Misfit]:
    """Yield stages in several routes or in none, and hops that enter inside a stage's layers."""
    if not engine.whole_replicas:
        return
    firsts = {stage.id: stage.layers[0] for stage in reversed(plan.stages)}
    used: Counter[str] = Counter()
    for index, route in enumerate(plan.routes):
        used.update({hop.stage for hop in route.hops})
        for hop in route.hops:
            first = firsts.get(hop.stage, hop.enter_layer)
            if hop.enter_layer != first:
                yield Misfit(
                    MisfitKind.ENTERED_INSIDE,
                    f"route {index}",
                    f"it enters {hop.stage} at layer {hop.enter_layer}",
                    f"layer {first}, where that stage begins",
                    f"solve with `limits: {{engine: {engine.name}}}`",
                )
    for stage in plan.stages:
        if used[stage.id] != 1:
            number = used[stage.id] or "no"
            yield Misfit(
                MisfitKind.SHARED_STAGE,
                f"stage {stage.id}",
                f"it is in {number} routes",
                "one, as a replica shares no stage",
                f"solve with `limits: {{engine: {engine.name}}}`",
            )
