"""Waiting rows: steps within limits, out of all that may wait at a stage."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from support.runtime_plans import make_plan

from hexplan.constants import MAX_BATCH
from hexplan.model import Model
from hexplan.schedule.limits import step_limits_of
from hexplan.schedule.step import next_step, prompt_room
from hexplan.step_limits import StepLimits
from hexplan_runtime.batch import MAX_ROWS, Batch, Row
from hexplan_runtime.request import GREEDY
from hexplan_runtime.stage.waiting_row import WaitingRow


@dataclass(frozen=True)
class Kind:
    """What arrives of a request."""

    request: int
    tokens: int
    decodes: bool = False

    def waiting(self, position: int) -> WaitingRow:
        row = Row(
            self.request,
            0,
            position,
            self.tokens,
            context_tokens=999,
            sampling=GREEDY,
            samples=self.tokens > 0,
            closes=self.tokens == 0,
            decodes=self.decodes,
        )
        ids = torch.arange(position, position + self.tokens)
        return WaitingRow(0, Batch((row,), ids if self.tokens else None))


prompts = st.builds(Kind, st.integers(0, 9), st.integers(1, 30))
decodes = st.builds(Kind, st.integers(0, 9), st.just(1), st.just(True))
closings = st.builds(Kind, st.integers(0, 9), st.just(0))
limits = st.integers(2, 40).flatmap(
    lambda tokens: st.builds(
        StepLimits, tokens=st.just(tokens), decodes=st.integers(1, max(1, tokens * 3 // 4))
    )
)


def waiting_of(kinds: list[Kind]) -> list[WaitingRow]:
    """Return waiting rows whose positions go on within each request."""
    ends: dict[int, int] = {}
    made = []
    for kind in kinds:
        first = ends.get(kind.request, 0)
        ends[kind.request] = first + kind.tokens
        made.append(kind.waiting(first))
    return made


def steps_of(waiting: list[WaitingRow], limits: StepLimits) -> list[list[Row]]:
    """Return the steps until nothing is left; each takes the oldest, so there are not many."""
    steps = []
    while waiting:
        oldest = waiting[0].row
        taken, waiting = next_step(waiting, limits, MAX_ROWS)
        assert taken[0].row.request == oldest.request
        assert taken[0].row.position == oldest.position
        for waiting_row in taken:
            row, ids = waiting_row.row, waiting_row.batch.token_ids
            assert row.closes == (ids is None)
            assert ids is None or ids.tolist() == [*range(row.position, row.position + row.tokens)]
        steps.append([waiting_row.row for waiting_row in taken])
    return steps


@given(st.lists(prompts | decodes | closings, max_size=40), limits)
def test_no_step_holds_more_than_its_limits(kinds: list[Kind], limits: StepLimits) -> None:
    for rows in steps_of(waiting_of(kinds), limits):
        assert sum(row.tokens for row in rows) <= limits.tokens
        assert sum(row.decodes for row in rows) <= limits.decodes


@given(st.lists(prompts | decodes | closings, max_size=40), limits)
def test_all_that_arrives_is_run_once_and_in_the_order_of_its_request(
    kinds: list[Kind], limits: StepLimits
) -> None:
    waiting = waiting_of(kinds)
    rows = [row for step in steps_of(waiting, limits) for row in step]
    for request in range(10):
        mine = [row for row in rows if row.request == request]
        sent = [waiting_row.row for waiting_row in waiting if waiting_row.row.request == request]
        assert story(mine) == story(sent)
        assert sum(row.samples for row in mine) == sum(row.samples for row in sent)


def story(rows: list[Row]) -> list[tuple[int, str]]:
    """Return what happens to a request: each token at its position, and its ends."""
    told = []
    for row in rows:
        word = "decode" if row.decodes else "prompt"
        told += [(row.position + n, word) for n in range(row.tokens)]
        told += [(row.position, "end")] * row.closes
    return told


@given(st.lists(st.integers(1, 30), max_size=20), st.integers(0, 40), limits)
def test_decodes_go_first_and_prompts_fill_the_step(
    sizes: list[int], num_decodes: int, limits: StepLimits
) -> None:
    """However the prompts were cut before, the room is full as long as some wait."""
    kinds = [Kind(request, size) for request, size in enumerate(sizes)]
    kinds += [Kind(100 + request, 1, decodes=True) for request in range(num_decodes)]
    taken, left = next_step(waiting_of(kinds), limits, MAX_ROWS)
    decoded = sum(waiting_row.row.decodes for waiting_row in taken)
    assert decoded == min(num_decodes, limits.decodes)
    prompt_tokens = sum(waiting_row.row.tokens for waiting_row in taken) - decoded
    assert prompt_tokens == min(sum(sizes), limits.tokens - decoded)
    assert sum(waiting_row.row.tokens for waiting_row in left) == sum(sizes) + num_decodes - (
        prompt_tokens + decoded
    )


@given(limits)
def test_a_prompt_goes_on_however_many_decodes_come(limits: StepLimits) -> None:
    waiting = waiting_of([Kind(0, 99)])
    for turn in range(99):
        new = [Kind(1 + turn * 99 + n, 1, decodes=True) for n in range(limits.decodes)]
        taken, waiting = next_step([*waiting, *waiting_of(new)], limits, MAX_ROWS)
        assert sum(a.row.tokens for a in taken if not a.row.decodes) >= min(
            limits.tokens // 4, 1 + sum(a.row.tokens for a in waiting if not a.row.decodes)
        )
        if all(waiting_row.row.decodes for waiting_row in waiting):
            return
    pytest.fail("the prompt was not run")


def test_a_step_has_no_more_rows_than_a_frame() -> None:
    kinds = [Kind(request, 0) for request in range(MAX_ROWS)]
    kinds += [Kind(MAX_ROWS + request, 1, decodes=True) for request in range(MAX_BATCH)]
    taken, left = next_step(waiting_of(kinds), StepLimits(tokens=4096, decodes=MAX_BATCH), MAX_ROWS)
    assert (len(taken), len(left)) == (MAX_ROWS, MAX_BATCH)


def test_of_one_token_a_step_still_takes_a_prompts() -> None:
    """Else a single decode that always waits would hold every prompt up."""
    taken, _ = next_step(
        waiting_of([Kind(0, 5), Kind(1, 1, decodes=True)]), StepLimits(tokens=1, decodes=1)
    )
    assert [waiting_row.row.tokens for waiting_row in taken] == [1, 1]


@pytest.mark.parametrize(
    ("chunk", "prompt_max", "stated", "found"),
    [
        (512, 900, (100, 20), (100, 20)),  # the plan's own
        (4096, 4096, (4096, 400), (4096, 256)),  # more decodes than there is room for logits
        (512, 900, None, (512, 256)),  # a chunk
        (512, 100, None, (256, 192)),  # the largest batch is longer than all prompts
        (40, 900, None, (40, 30)),
        (1, 900, None, (1, 1)),
    ],
)
def test_a_plans_own_limits_hold_or_else_what_workspace_is_kept_for(
    llama_model: Model,
    chunk: int,
    prompt_max: int,
    stated: tuple[int, int] | None,
    found: tuple[int, int],
) -> None:
    own = None if stated is None else StepLimits(tokens=stated[0], decodes=stated[1])
    plan = make_plan(llama_model, [((0, 4), (1,))], prompt_max=prompt_max, step_limits=own)
    changed = plan.cluster.limits.model_copy(update={"chunk_tokens": chunk})
    cluster = plan.cluster.model_copy(update={"limits": changed})
    limits = step_limits_of(plan.model_copy(update={"cluster": cluster}))
    assert (limits.tokens, limits.decodes) == found
    assert prompt_room(limits, limits.decodes) >= max(1, limits.tokens // 4)
