"""Requests of a launch share the steps of a stage; counted, so that no clock matters."""

from __future__ import annotations

from pathlib import Path
from statistics import mode

import pytest
from support.runtime_plans import StageSpec, make_plan

from hexplan.measured.observation_file import ObservationFile
from hexplan.measured.observations import read_observations
from hexplan.model import Model
from hexplan.schedule.micro_batches import micro_batches
from hexplan.step_limits import StepLimits
from hexplan_runtime.launch.pipeline import Pipeline
from hexplan_runtime.request import Request
from hexplan_runtime.stage.loops import loops_of

NUM_TOKENS = 24
LIMITS = StepLimits(tokens=16, decodes=8)
ONE: list[StageSpec] = [((0, 4), (1,))]
TWO: list[StageSpec] = [((0, 2), (1,)), ((2, 4), (1,))]


def decode_steps(
    model: Model, folder: Path, path: Path, stages: list[StageSpec], users: int
) -> list[int]:
    """Return the decodes of each step of the first stage that held any."""
    plan = make_plan(model, stages, step_limits=LIMITS)
    # Prompts of several lengths, in pieces, so that first tokens come in different steps.
    requests = [Request(tuple(range(1, 6 + 5 * user)), NUM_TOKENS) for user in range(users)]
    with ObservationFile(path, plan) as file, Pipeline(plan, folder, observe=file) as pipeline:
        events = list(pipeline.generate(requests))
    assert len(events) == users * NUM_TOKENS
    steps = [step for step in read_observations(path, plan).steps[0] if step.stage == "s0"]
    held = [sum(load.decode_tokens for load in step.loads) for step in steps]
    assert sum(held) == users * (NUM_TOKENS - 1)
    return [decodes for decodes in held if decodes]


@pytest.mark.parametrize("users", [1, 2, 4])
def test_requests_of_one_stage_decode_in_the_same_steps(
    llama: Path, llama_model: Model, tmp_path: Path, users: int
) -> None:
    """A few steps more than one request's own, as the first tokens come one after another."""
    held = decode_steps(llama_model, llama, tmp_path / "seen.jsonl", ONE, users)
    assert max(held) == users
    assert len(held) <= NUM_TOKENS - 1 + 3 * (users - 1)


def test_a_chain_of_two_stages_divides_four_requests_as_the_rule_does(
    llama: Path, llama_model: Model, tmp_path: Path
) -> None:
    (loop,) = loops_of(make_plan(llama_model, TWO, step_limits=LIMITS))
    count = micro_batches(loop, 4, LIMITS.decodes)
    held = decode_steps(llama_model, llama, tmp_path / "seen.jsonl", TWO, 4)
    # On a busy machine tokens now and then come back together.
    assert mode(held) == -(-4 // count)
    assert len(held) <= count * (NUM_TOKENS - 1 + 3 * 3)
