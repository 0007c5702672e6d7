"""Show how requests go through a plan whose stages serve one phase each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from hexplan.plan import Handover, Hop, Plan, Stage
from hexplan.render import words

MAX_HANDOVERS = 12
"""How many handovers are listed one by one; the weights of the others are summed."""
UNDIVIDED = "if all stages served both"
"""What the flow of such a plan is about."""


def handover_lines(plan: Plan) -> Iterator[str]:
    """Yield the prefill route, the decode route and the KV of each handover, largest first."""
    stages = {stage.id: stage for stage in plan.stages}
    largest = sorted(plan.handovers, key=lambda handover: -handover.weight)
    for handover in largest[:MAX_HANDOVERS]:
        ways = (
            f"prefill {_chain(handover.prefill, stages)}, decode {_chain(handover.decode, stages)}"
        )
        yield f"{words.percent(handover.weight):>6}  {ways}; {_kv(handover, stages)}"
    if rest := largest[MAX_HANDOVERS:]:
        weight = sum(handover.weight for handover in rest)
        yield f"{words.percent(weight):>6}  on {words.count(len(rest), 'smaller handover')}"
    yield f"Flow, loads, routes and certificate say what the same stages carry {UNDIVIDED}."


def hop_words(stage_id: str, enter_layer: int, stages: dict[str, Stage]) -> str:
    """Name a hop, and the layer where it enters if that is not the stage's first."""
    stage = stages.get(stage_id)
    is_whole = stage is None or stage.layers[0] == enter_layer
    return stage_id if is_whole else f"{stage_id} from layer {enter_layer}"


def _chain(hops: Sequence[Hop], stages: dict[str, Stage]) -> str:
    return " > ".join(hop_words(hop.stage, hop.enter_layer, stages) for hop in hops)


def _kv(handover: Handover, stages: dict[str, Stage]) -> str:
    """Say how much KV moves between hosts, and what the narrowest link carries of it."""
    if not handover.kv_moves:
        return "no KV moves"
    moved = words.size(sum(move.bytes_per_request for move in handover.kv_moves))
    least = min(move.capacity_requests_per_s for move in handover.kv_moves)
    is_inside = all(stages[m.source].host == stages[m.target].host for m in handover.kv_moves)
    where = "inside the host" if is_inside else "over links"
    return f"{moved} of KV a request {where}, {words.rate(least)} requests/s at most"
