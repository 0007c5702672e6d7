"""A finished plan with one technique switched on: each has a function here.

A new technique needs its switch in `hexplan.techniques.Techniques`, and a line in `CANDIDATES`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Literal

from hexplan.cost import StageShape
from hexplan.cost.interleaving import find_interleave, slowdown_of
from hexplan.plan import Plan, Stage
from hexplan.techniques import Chosen
from hexplan_solver.techniques.offloading import offloaded

Name = Literal["interleave", "kv_offload", "queue"]


def stating(plan: Plan, chosen: Chosen) -> Plan:
    """Return the plan with what came of a technique, in the place of what it said of it."""
    others = [one for one in plan.techniques if one.technique != chosen.technique]
    return plan.model_copy(update={"techniques": (*others, chosen)})


def interleaved(plan: Plan) -> Plan:
    """Return the plan with every stage interleaving that gains by it for some size of a step."""

    def changed(stage: Stage) -> Stage:
        if stage.kv_offload is not None:  # the longest request needs it
            return stage
        shape = StageShape.of(plan, stage)
        how = find_interleave(plan.model, shape, slowdown_of(plan.cluster, shape))
        return stage.model_copy(update={"interleave": how})

    return plan.model_copy(update={"stages": tuple(map(changed, plan.stages))})


def queued(plan: Plan) -> Plan:
    """Return the plan with the queue that needs to know nothing of requests in advance."""
    return stating(plan, Chosen(technique="queue", value="mlfq", tried="mlfq"))


CANDIDATES: Final[dict[Name, Callable[[Plan], Plan]]] = {
    "interleave": interleaved,
    "kv_offload": offloaded,
    "queue": queued,
}
"""In the order in which they are judged, each with what was chosen before."""
