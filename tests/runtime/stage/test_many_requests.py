"""Requests that come and go in the same steps, against each one alone by transformers."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import torch
from support.ranks import Runner, running_stages
from support.reference import Continuation, clear_continuations, load_reference
from support.runtime_plans import StageSpec, make_plan

from hexplan.plan import Plan
from hexplan.reading.model_folder.folder import read_model_folder
from hexplan_runtime.batch import Batch, Row
from hexplan_runtime.request import GREEDY
from hexplan_runtime.stage.sampling import sample

REQUESTS, NEW_TOKENS, KV_TOKENS = 25, 12, 300
ONE: list[StageSpec] = [((0, 4), (1,))]
TEAMS: list[StageSpec] = [((0, 2), (1,)), ((0, 4), (2, 1)), ((0, 3), (1,))]
INSIDE = [([1], 40), ([0, 1], 30), ([2, 1], 30)]
"""Routes whose last stage is entered at layers 0, 2 and 3."""


@dataclass
class Going:
    """A request under way: its tokens so far, and how many of them the stages have run."""

    request: int
    route: int
    wanted: Continuation
    ids: list[int] = field(default_factory=list)
    done: int = 0

    @property
    def room(self) -> int:
        return len(self.wanted.prompt_ids) + NEW_TOKENS

    def next_row(self, most: int) -> Row:
        tokens = min(most, len(self.ids) - self.done)
        samples = self.done + tokens == len(self.ids)
        return Row(self.request, self.route, self.done, tokens, self.room, GREEDY, samples)


def run_step(runners: list[Runner], plan: Plan, going: list[Going], rng: random.Random) -> None:
    """Run the next piece of each of these requests through its route, in one step of the last."""
    by_entry: list[tuple[int, Row, Batch]] = []
    for one in going:
        row = one.next_row(rng.choice([1, 4, 60]))
        batch = Batch((row,), torch.tensor(one.ids[row.position : row.position + row.tokens]))
        hops = plan.routes[one.route].hops
        for hop in hops[:-1]:
            stage = next(i for i, stage in enumerate(plan.stages) if stage.id == hop.stage)
            batch = Batch((row,), hidden=runners[stage](batch).hidden)
        by_entry.append((hops[-1].enter_layer, row, batch))
    by_entry.sort(key=lambda entry: entry[0])
    rows = tuple(row for _, row, _ in by_entry)
    ids = [batch.token_ids for _, _, batch in by_entry if batch.token_ids is not None]
    hidden = [batch.hidden for _, _, batch in by_entry if batch.hidden is not None]
    joined = Batch(rows, torch.cat(ids) if ids else None, torch.cat(hidden) if hidden else None)
    last = next(i for i, s in enumerate(plan.stages) if s.id == plan.routes[0].hops[-1].stage)
    logits = runners[last](joined).logits
    sampled = [row for row in rows if row.samples]
    found = iter([] if logits is None else sample(logits, sampled).tolist())
    by_request = {one.request: one for one in going}
    for row in rows:
        one = by_request[row.request]
        one.done += row.tokens
        if row.samples:
            one.ids.append(next(found))


@pytest.mark.parametrize("family", ["llama", pytest.param("mistral", marks=pytest.mark.slow)])
@pytest.mark.parametrize(("stages", "routes"), [(ONE, None), (TEAMS, INSIDE)])
def test_requests_that_come_and_go_say_what_each_says_alone(
    tiny: Callable[[str], Path],
    family: str,
    stages: list[StageSpec],
    routes: list[tuple[list[int], int]] | None,
) -> None:
    folder, rng = tiny(family), random.Random(3)
    plan = make_plan(read_model_folder(folder), stages, routes, kv_tokens=KV_TOKENS)
    reference = load_reference(folder)
    waiting = [
        Going(request, rng.randrange(len(plan.routes)), wanted, list(wanted.prompt_ids))
        for request, wanted in enumerate(clear_continuations(reference, REQUESTS, NEW_TOKENS))
    ]
    going: list[Going] = []
    with running_stages(plan, folder) as runners:
        while waiting or going:
            while waiting and sum(one.room for one in going) + waiting[0].room <= KV_TOKENS:
                going.append(waiting.pop(0))
            run_step(runners, plan, [one for one in going if rng.random() < 0.8] or going, rng)
            for one in [one for one in going if len(one.ids) == one.room]:
                assert tuple(one.ids) == one.wanted.prompt_ids + one.wanted.token_ids
                closing = Row(one.request, one.route, 0, 0, one.room, GREEDY, closes=True)
                for runner in runners:
                    runner(Batch((closing,)))
                going.remove(one)
