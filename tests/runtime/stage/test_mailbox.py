"""The mailbox: what leaves a stage first, and what a launch then runs at once."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from support.reference import clear_continuations, load_reference
from support.runtime_plans import make_plan

from hexplan.measured.observation_file import ObservationFile
from hexplan.measured.observations import StepSeen, read_observations
from hexplan.model import Model
from hexplan.step_limits import StepLimits
from hexplan_runtime.batch import Batch, Row
from hexplan_runtime.launch.pipeline import Pipeline
from hexplan_runtime.request import GREEDY, Request
from hexplan_runtime.stage.edges import Ends
from hexplan_runtime.stage.mailbox import Outbox
from hexplan_runtime.stage.stage import Output

NUM_TOKENS = 6
PROMPT = Row(0, 0, 0, 3, context_tokens=99, sampling=GREEDY)
DECODE = Row(1, 0, 7, 1, context_tokens=99, sampling=GREEDY, decodes=True)
END = Row(2, 0, 0, 0, context_tokens=99, sampling=GREEDY, closes=True)
FORK = [((0, 2), (1,)), ((2, 4), (1,)), ((2, 4), (1,))]


class Kept:
    """An edge that keeps what is sent, in the order of all edges."""

    def __init__(self, target: str, sent: list[tuple[str, Batch]]) -> None:
        self._target, self._sent = target, sent

    def send(self, batch: Batch) -> None:
        self._sent.append((self._target, batch))


@pytest.mark.parametrize(
    ("rows", "sent"),
    [
        ([PROMPT, DECODE, END], [("s1", [1, 2]), ("s1", [0])]),
        ([DECODE, END], [("s1", [1, 2])]),
        ([END, PROMPT], [("s1", [2]), ("s1", [0])]),
        (
            [PROMPT, replace(DECODE, route=1), replace(END, route=1), DECODE],
            [("s2", [1, 2]), ("s1", [1]), ("s1", [0])],  # decodes of all ways go first
        ),
    ],
)
def test_decodes_leave_a_stage_ahead_of_prompts(
    llama_model: Model, rows: list[Row], sent: list[tuple[str, list[int]]]
) -> None:
    plan = make_plan(llama_model, FORK, [([0, 1], 50), ([0, 2], 50)])
    found: list[tuple[str, Batch]] = []
    ends = Ends({target: Kept(target, found) for target in ("s1", "s2")}, {})
    batch = Batch(tuple(rows))
    marks = [float(row.request) for row in rows for _ in range(row.tokens)]
    Outbox(plan, "s0", ends).send(batch, Output(torch.tensor(marks)[:, None], None))
    assert [(target, [row.request for row in b.rows]) for target, b in found] == sent
    for _, b in found:
        expected = [float(row.request) for row in b.rows for _ in range(row.tokens)]
        assert ([] if b.hidden is None else b.hidden[:, 0].tolist()) == expected


def test_no_step_of_a_launch_holds_more_than_the_plan_allows(
    llama: Path, llama_model: Model, tmp_path: Path
) -> None:
    """Routes part and meet again, and the tokens are still those of one process."""
    limits = StepLimits(tokens=12, decodes=2)
    plan = make_plan(
        llama_model,
        [((0, 3), (1,)), ((1, 4), (1,)), ((0, 1), (1,))],
        [([0, 1], 50), ([2, 1], 50)],
        step_limits=limits,
    )
    expected = clear_continuations(load_reference(llama), 5, NUM_TOKENS)
    requests = [Request(one.prompt_ids, NUM_TOKENS) for one in expected]
    found: list[list[int]] = [[] for _ in requests]
    path = tmp_path / "observed.jsonl"
    with ObservationFile(path, plan) as file, Pipeline(plan, llama, observe=file) as pipeline:
        for event in pipeline.generate(requests):
            found[event.request_index].append(event.token_id)
    assert [tuple(tokens) for tokens in found] == [one.token_ids for one in expected]
    steps = read_observations(path, plan).steps[0]
    held = [tokens_of(step) for step in steps]
    assert max(prompts + decodes for prompts, decodes in held) <= limits.tokens
    assert 1 <= max(decodes for _, decodes in held) <= limits.decodes
    last = [tokens_of(step) for step in steps if step.stage == "s1"]
    assert sum(prompts for prompts, _ in last) == sum(len(one.prompt_ids) for one in expected)
    assert sum(decodes for _, decodes in last) == (NUM_TOKENS - 1) * len(expected)


def tokens_of(step: StepSeen) -> tuple[int, int]:
    loads = step.loads
    return sum(load.prompt_tokens for load in loads), sum(load.decode_tokens for load in loads)
