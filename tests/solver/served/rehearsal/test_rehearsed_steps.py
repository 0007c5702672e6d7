"""What a rehearsed stage and route take on counts, held against the schedule's rules on items."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st

from hexplan.schedule.micro_batches import Loop, Move, RouteDecodes, Visit
from hexplan.schedule.step import next_step
from hexplan.step_limits import StepLimits
from hexplan_solver.flow.network import OUTSIDE
from hexplan_solver.served.rehearsal.clumps import Clump, Part, Prompt
from hexplan_solver.served.rehearsal.routes import Batches
from hexplan_solver.served.rehearsal.stage import RehearsedStage
from hexplan_solver.simulate.pipeline_model import (
    EdgeModel,
    PipelineModel,
    RouteModel,
    StageModel,
)


class Flat:
    """Every token takes the same time."""

    origin = "made up"
    measured_tokens = None

    def layer_s(self, prompt: int, reach: float, decode: int, context: float) -> float:
        return 0.001 * (prompt + decode)

    def head_s(self, rows: int) -> float:
        return 0.0

    def step_s(self, rows: int) -> float:
        return 0.0


@dataclass
class Item:
    """Work in the form that the schedule takes."""

    name: int
    tokens: int
    is_prompt: bool
    order_key = None

    def cut(self, tokens: int) -> tuple[Item, Item]:
        rest = Item(self.name, self.tokens - tokens, self.is_prompt)
        return Item(self.name, tokens, self.is_prompt), rest


def one_stage() -> PipelineModel:
    edges = (EdgeModel(OUTSIDE, 0, 1e12, 0.0, 4, 1.0), EdgeModel(0, OUTSIDE, 1e12, 0.0, 4, 1.0))
    stage = StageModel("s0", (0, 4), Flat(), 10**6)
    return PipelineModel(4, (stage,), edges, (RouteModel((0,), 1),))


works = st.lists(st.tuples(st.integers(1, 90), st.booleans()), min_size=1, max_size=12)


@given(works, st.integers(4, 100), st.integers(1, 60))
@settings(max_examples=60, deadline=None)
def test_a_rehearsed_step_takes_what_the_schedule_takes(
    work: list[tuple[int, bool]], tokens: int, decodes: int
) -> None:
    limits = StepLimits(tokens=tokens, decodes=min(decodes, tokens))
    stage = RehearsedStage(one_stage(), 0, (0,), limits, 100.0)
    waiting = [Item(name, size, is_prompt) for name, (size, is_prompt) in enumerate(work)]
    queue = stage.queues[0]
    for item in waiting:
        if item.is_prompt:
            queue.parts.append(Part(Prompt(item.name, item.tokens, 0.0), 0, item.tokens))
        else:
            queue.clumps.append(Clump(item.name, 1, item.tokens))
            queue.decodes += item.tokens
    while waiting:
        taken, waiting = next_step(waiting, limits)
        step = stage.next_step()
        assert step is not None
        expected = [(item.name, item.tokens) for item in taken if not item.is_prompt]
        assert [(clump.route, clump.decodes) for clump in step.clumps] == expected
        expected = [(item.name, item.tokens) for item in taken if item.is_prompt]
        assert [(part.prompt.route, part.tokens) for part in step.parts] == expected
        assert step.decodes == sum(item.tokens for item in taken if not item.is_prompt)
    assert stage.next_step() is None


@given(st.integers(1, 60), st.integers(1, 40), st.floats(0, 0.1), st.data())
@settings(max_examples=30, deadline=None)
def test_counted_micro_batches_are_those_of_single_requests(
    requests: int, largest: int, latency_s: float, data: st.DataObject
) -> None:
    visits = [Visit(lambda decodes: 0.01 + 0.001 * decodes) for _ in range(3)]
    loop = Loop(visits, [Move(latency_s, 1e-5)])
    known: RouteDecodes[int] = RouteDecodes(loop, largest)
    counted = Batches(loop, largest)
    for request in range(requests):
        known.wait(request)
    counted.waiting = requests
    under_way: list[tuple[int, list[int]]] = []
    for _ in range(12):
        batches, sizes = known.take(), list(counted.take())
        assert [len(batch) for batch in batches] == [size for _, size in sizes]
        under_way += [(number, batch) for (number, _), batch in zip(sizes, batches, strict=True)]
        number, batch = under_way.pop(data.draw(st.integers(0, len(under_way) - 1)))
        back = data.draw(st.integers(1, len(batch)))
        for request in batch[:back]:
            known.come_back(request)
            known.wait(request)
        counted.come_back(number, back)
        counted.waiting += back
        if back < len(batch):
            under_way.append((number, batch[back:]))
