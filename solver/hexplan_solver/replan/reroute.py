"""New routes over the stages that are left, without moving any weights."""

from __future__ import annotations

from hexplan.errors import InfeasibleError
from hexplan.field_types import Range
from hexplan_solver.flow.evaluate import Evaluated, evaluate
from hexplan_solver.replan.survivors import Survivors

HINT = "without --routes-only, weights may move"


def reroute(left: Survivors) -> Evaluated:
    """Return the largest flow over the survivors, all of which stay, used or not.

    Raises
    ------
    InfeasibleError
        If no route exists any more; the message names the layers that no stage holds.
    """
    cluster = left.problem.spec.cluster
    serving = {stage.host for stage in left.stages}
    for pin in cluster.layer_pins:
        if pin.host not in serving:
            first, end = pin.layers
            message = f"{pin.host} is pinned to layers [{first}, {end}), and no stage of it is left"
            raise InfeasibleError(message, hint=HINT)
    missing = _missing(left)
    if missing:
        named = ", ".join(f"[{first}, {end})" for first, end in missing)
        why = "; ".join(f"{s.id} ({s.reason})" for s in left.gone if _meets(s.layers, missing))
        message = f"no stage that is left holds layers {named}: they were in {why or 'none'}"
        raise InfeasibleError(message, hint=HINT)
    found = evaluate(left.problem, left.stages)
    if found.value == 0:
        ends = sorted({s.layers for s in left.stages})
        held = ", ".join(f"[{first}, {end})" for first, end in ends)
        message = f"every layer is still held ({held}), but no links join them from entry to exit"
        raise InfeasibleError(message, hint=HINT)
    return found


def _missing(left: Survivors) -> list[Range]:
    """Return the layers that no survivor holds, as ranges."""
    found, reach = [], 0
    for stage in sorted(left.stages):
        if stage.layers[0] > reach:
            found.append((reach, stage.layers[0]))
        reach = max(reach, stage.layers[1])
    if reach < left.problem.num_layers:
        found.append((reach, left.problem.num_layers))
    return found


def _meets(layers: Range, others: list[Range]) -> bool:
    return any(layers[0] < end and first < layers[1] for first, end in others)
