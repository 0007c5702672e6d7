"""The stations of a placement: step times of each stage, measured or scaled to its capacity."""

from __future__ import annotations

from dataclasses import dataclass

from hexplan.constants import MAX_BATCH, MICRO
from hexplan.cost import StageShape, kv_room_tokens
from hexplan.cost.stage_step_times import stage_step_times
from hexplan.cost.steps import are_measured
from hexplan_solver.objectives.latency.queueing import Station
from hexplan_solver.placement.placement import PlacedStage
from hexplan_solver.problem.problem import Problem
from hexplan_solver.problem.rates import capacity_of


@dataclass(frozen=True, slots=True)
class TimedStation:
    """A stage's station, and where its times come from."""

    station: Station
    origin: str


def station_of(problem: Problem, stage: PlacedStage) -> TimedStation:
    """Return the station of a stage.

    Measured step times are taken as they are. Of others only the proportions are kept, of a prompt
    to a decode and of one token to a batch: all are scaled by one factor, so that a stage with its
    planning batch passes exactly its capacity (docs/formulation.md 4); but not with host memory,
    where capacities count what steps hide.
    """
    spec, group = problem.spec, problem.group_of(stage.kind)
    prompt, output = spec.workload.prompt_tokens.mean, spec.workload.output_tokens.mean
    host = spec.cluster.host_by_name[stage.host]
    sharing = problem.sharing_of(stage.kind, stage.layers)
    steps = stage_step_times(spec, StageShape(stage.layers, group, host.interconnect, sharing))
    num_layers, is_last = stage.layers[1] - stage.layers[0], stage.layers[1] == problem.num_layers
    context = prompt + output // 2

    def decode_s(tokens: int) -> float:
        head_s = steps.head_s(tokens) if is_last else 0.0
        return num_layers * steps.layer_s(0, 0.0, tokens, tokens * context) + head_s

    head_s = steps.head_s(1) if is_last else 0.0
    prompt_s = num_layers * steps.layer_s(prompt, prompt * prompt / 2, 0, 0) + head_s
    batch = _batch(problem, stage)
    request_s = prompt_s + output * decode_s(batch) / batch
    scale = 1.0
    if sharing.kv_offload is None and not are_measured(steps):
        capacity = capacity_of(spec, host, group, stage.layers, sharing)
        scale = spec.workload.mean_tokens * MICRO / capacity / request_s
    one_s = decode_s(1)
    token_s = (decode_s(batch) - one_s) / (batch - 1) if batch > 1 else 0.0
    token_s = min(max(token_s, 0.0), one_s)
    station = Station(
        scale * (one_s - token_s), scale * token_s, scale * prompt_s, max(0, output - 1)
    )
    return TimedStation(station, steps.origin)


def _batch(problem: Problem, stage: PlacedStage) -> int:
    """Return the planning batch, for which the capacity was computed (docs/formulation.md 4)."""
    spec, group = problem.spec, problem.group_of(stage.kind)
    sharing = problem.sharing_of(stage.kind, stage.layers)
    shape = StageShape(stage.layers, group, sharing=sharing)
    held = kv_room_tokens(spec, shape) * (stage.layers[1] - stage.layers[0])
    share = held // (spec.workload.mean_tokens * spec.model.layers)
    return min(MAX_BATCH, max(1, share))
