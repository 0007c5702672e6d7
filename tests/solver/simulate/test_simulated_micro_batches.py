"""Users share the steps of a stage, and a chain of stages keeps a micro-batch in each."""

from __future__ import annotations

from functools import cache

import pytest
from support.specs import spec_of

from hexplan.cost import DeviceShard, ShardSizes, StageShape, kv_room_tokens
from hexplan.cost.stage_step_times import stage_step_times
from hexplan.spec import Spec
from hexplan_solver.flow.network import OUTSIDE
from hexplan_solver.simulate import (
    CHUNKED,
    Closed,
    FixedLengths,
    PipelineModel,
    RouteModel,
    StageModel,
    Window,
    simulate,
)
from hexplan_solver.simulate.assembly import assemble

PROMPT, OUTPUT = 64, 512
HOP_S = 0.0001
CARDS = f"""\
version: 1
name: cards
model: llama-3.1-8b
workload:
  prompt_tokens: {PROMPT}
  output_tokens: {OUTPUT}
hosts:
  - {{name: "box-[0-3]", site: home, devices: RTX-3090, nic: 10Gbps}}
coordinator: {{site: home, nic: 10Gbps}}
links:
  - {{within: home, bandwidth: 10Gbps, latency: 0.1ms}}
"""


def shape_of(spec: Spec, first: int, end: int) -> StageShape:
    model, (device,) = spec.model, spec.cluster.device_types
    sizes = ShardSizes(model.kv_heads, model.ffn, model.vocab)
    return StageShape((first, end), (DeviceShard(device, sizes),))


@cache
def cards(num_stages: int) -> PipelineModel:
    """Return 32 layers of an 8B model in bf16, on as many RTX 3090 as there are stages."""
    spec = spec_of(CARDS)
    held = spec.model.layers // num_stages
    shapes = [shape_of(spec, j * held, (j + 1) * held) for j in range(num_stages)]
    hosted = [
        (
            f"box-{j}",
            StageModel(f"s{j}", s.layers, stage_step_times(spec, s), kv_room_tokens(spec, s)),
        )
        for j, s in enumerate(shapes)
    ]
    chain = [OUTSIDE, *range(num_stages), OUTSIDE]
    flows = dict.fromkeys(zip(chain, chain[1:], strict=False), 1.0)
    return assemble(spec, hosted, flows, [RouteModel(tuple(range(num_stages)), 1)])


def step_s(stage: StageModel, decodes: int) -> float:
    """Return the cost model's time of a step of decodes, halfway through their outputs."""
    num_layers = stage.layers[1] - stage.layers[0]
    layer_s = stage.steps.layer_s(0, 0, decodes, decodes * (PROMPT + OUTPUT // 2))
    return num_layers * layer_s + (stage.steps.head_s(decodes) if stage.layers[1] == 32 else 0)


def expected_s(pipeline: PipelineModel, users: int) -> float:
    """Return the time of a round through all stages, each with an equal part of the users."""
    num_stages = len(pipeline.stages)
    size = -(-users // num_stages)
    return sum(step_s(stage, size) for stage in pipeline.stages) + (num_stages + 1) * HOP_S


@pytest.mark.parametrize("num_stages", [1, 2, 4])
@pytest.mark.parametrize("users", [1, 2, 4, 5, 16, 32])
def test_the_users_of_a_chain_share_its_steps(num_stages: int, users: int) -> None:
    pipeline = cards(num_stages)
    traffic = Closed(FixedLengths(PROMPT, OUTPUT), users, gap_s=0.0)
    outcome = simulate(pipeline, traffic, CHUNKED, Window(100.0, 30.0))
    assert outcome.tpot is not None
    assert outcome.tpot.mean_s == pytest.approx(expected_s(pipeline, users), rel=0.15)
