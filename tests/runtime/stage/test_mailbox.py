"""The mailbox: what leaves a stage first, and what a launch then runs at once."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import NoReturn

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
from hexplan_runtime.net.gloo import PeerLost
from hexplan_runtime.request import GREEDY, Request
from hexplan_runtime.sampling.grammars import Grammars
from hexplan_runtime.sampling.steering import Steering
from hexplan_runtime.stage.edges import Ends
from hexplan_runtime.stage.mailbox import Inbox, Outbox
from hexplan_runtime.stage.stage import Output

NUM_TOKENS = 6
PROMPT = Row(0, 0, 0, 3, context_tokens=99, sampling=GREEDY)
DECODE = Row(1, 0, 7, 1, context_tokens=99, sampling=GREEDY, decodes=True)
END = Row(2, 0, 0, 0, context_tokens=99, sampling=GREEDY, closes=True)
FORK = [((0, 2), (1,)), ((2, 4), (1,)), ((2, 4), (1,))]


def no_vocabulary() -> NoReturn:
    raise AssertionError("a row without a grammar needs no vocabulary")


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
    outbox = Outbox(plan, "s0", ends, lambda _: None, Steering(Grammars(no_vocabulary)))
    outbox.send(batch, Output(torch.tensor(marks)[:, None], None))
    assert [(target, [row.request for row in b.rows]) for target, b in found] == sent
    for _, b in found:
        expected = [float(row.request) for row in b.rows for _ in range(row.tokens)]
        assert ([] if b.hidden is None else b.hidden[:, 0].tolist()) == expected


class Given:
    """An edge over which these batches arrive, and nothing more until its end."""

    def __init__(self, batches: list[Batch]) -> None:
        self._batches = iter(batches)
        self.all_here, self.end = Event(), Event()

    def receive(self) -> Batch:
        batch = next(self._batches, None)
        if batch is None:
            self.all_here.set()
            self.end.wait()
            raise PeerLost("the test is over")
        return batch


def test_the_end_of_a_request_goes_ahead_and_drops_what_waits_of_it(llama_model: Model) -> None:
    """Its prompt would fill three steps of 12 tokens."""
    plan = make_plan(llama_model, FORK, step_limits=StepLimits(tokens=12, decodes=2))
    pieces = [replace(PROMPT, position=9 * n, tokens=9) for n in range(4)]
    other = replace(PROMPT, request=5)
    end = replace(END, request=PROMPT.request)
    rows = [[*pieces, other], [DECODE], [replace(END, request=7), end]]
    edge = Given([as_batch(group) for group in rows])
    inbox = Inbox(plan, "s0", Ends({}, {"entry": edge}))
    assert edge.all_here.wait(60)
    found = inbox.next_batch()
    assert [row.request for row in found.rows] == [7, 0, 5, 1]
    assert [row.tokens for row in found.rows] == [0, 0, 3, 1]
    assert found.token_ids is not None
    assert found.token_ids.tolist() == [5, 5, 5, 1]
    edge.end.set()


def as_batch(rows: list[Row]) -> Batch:
    """Return rows whose tokens are the number of their request."""
    ids = [row.request for row in rows for _ in range(row.tokens)]
    return Batch(tuple(rows), torch.tensor(ids) if ids else None)


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
