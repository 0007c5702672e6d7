"""The simulator and the runtime take the same steps, routes and micro-batches."""

from __future__ import annotations

from collections import Counter
from threading import Event

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from support.pipelines import TokenSteps, chain
from support.runtime_plans import bare_model, make_plan

from hexplan.schedule.limits import most_decodes
from hexplan.schedule.micro_batches import micro_batches
from hexplan.step_limits import StepLimits
from hexplan_runtime.batch import Batch, Row
from hexplan_runtime.engine.router import Router
from hexplan_runtime.net.gloo import PeerLost
from hexplan_runtime.request import GREEDY
from hexplan_runtime.stage.edges import Ends
from hexplan_runtime.stage.loops import loops_of
from hexplan_runtime.stage.mailbox import Inbox
from hexplan_solver.simulate import pipeline_of_plan, policy_of_plan
from hexplan_solver.simulate.entry import loop_of
from hexplan_solver.simulate.kv_reservations import KvReservations
from hexplan_solver.simulate.request_route import RequestRoutes
from hexplan_solver.simulate.request_state import RequestState
from hexplan_solver.simulate.router import RouteRouter
from hexplan_solver.simulate.stage_state import StageState
from hexplan_solver.simulate.token_group import TokenGroup

MODEL = bare_model(layers=1)
Taken = Counter[tuple[int, bool]]
"""Tokens of a step by request and by whether they are of a prompt."""
LIMITS = st.integers(1, 40).flatmap(
    lambda tokens: st.builds(
        StepLimits, tokens=st.just(tokens), decodes=st.integers(1, most_decodes(tokens))
    )
)
QUEUES = st.lists(st.tuples(st.booleans(), st.integers(1, 30)), min_size=1, max_size=15)
"""Each a prompt of so many tokens, or decodes of so many requests."""


class OneBatch:
    """An edge over which one batch arrives, and nothing more until its end."""

    def __init__(self, batch: Batch) -> None:
        self._batch: Batch | None = batch
        self.end = Event()

    def receive(self) -> Batch:
        batch, self._batch = self._batch, None
        if batch is None:
            self.end.wait()
            raise PeerLost("the test is over")
        return batch


def requests_of(queue: list[tuple[bool, int]]) -> list[tuple[bool, list[int], int]]:
    """Return (is a prompt, numbers of its requests, tokens) for each item of a queue."""
    items, number = [], 0
    for is_prompt, size in queue:
        numbers = [number] if is_prompt else [*range(number, number + size)]
        number += len(numbers)
        items.append((is_prompt, numbers, size))
    return items


def simulated_steps(queue: list[tuple[bool, int]], limits: StepLimits) -> list[Taken]:
    plan = make_plan(MODEL, [((0, 1), (1,))], step_limits=limits)
    state = StageState(chain(TokenSteps(0.0)), 0, (0,), policy_of_plan(plan))
    for is_prompt, numbers, size in requests_of(queue):
        requests = [RequestState(number, 0.0, size, 9) for number in numbers]
        prompt = TokenGroup(requests, size, 0, is_prompt=True)
        state.queues[0].append(prompt if is_prompt else TokenGroup.of_decodes(requests))
    steps = []
    while step := state.next_step():
        taken: Taken = Counter()
        for group in step.groups:
            for request in group.requests:
                taken[request.number, group.is_prompt] += group.tokens if group.is_prompt else 1
        steps.append(taken)
    return steps


def executed_steps(queue: list[tuple[bool, int]], limits: StepLimits) -> list[Taken]:
    plan = make_plan(MODEL, [((0, 1), (1,))], step_limits=limits)
    rows = [
        Row(number, 0, 0, size if is_prompt else 1, 99, GREEDY, decodes=not is_prompt)
        for is_prompt, numbers, size in requests_of(queue)
        for number in numbers
    ]
    left = sum(row.tokens for row in rows)
    edge = OneBatch(Batch(tuple(rows), torch.zeros(left, dtype=torch.int64)))
    inbox = Inbox(plan, "s0", Ends({}, {"entry": edge}))
    steps = []
    while left:
        taken: Taken = Counter()
        for row in inbox.next_batch().rows:
            taken[row.request, not row.decodes] += row.tokens
        left -= taken.total()
        steps.append(taken)
    edge.end.set()
    return steps


@settings(deadline=None)
@given(QUEUES, LIMITS)
def test_the_simulator_and_the_runtime_take_the_same_steps(
    queue: list[tuple[bool, int]], limits: StepLimits
) -> None:
    assert simulated_steps(queue, limits) == executed_steps(queue, limits)


@settings(deadline=None, max_examples=30)
@given(
    st.lists(st.integers(1, 20), min_size=2, max_size=4),
    st.lists(st.tuples(st.integers(1, 30), st.integers(1, 30)), min_size=1, max_size=30),
)
def test_the_simulator_and_the_runtime_take_the_same_routes(
    percents: list[int], sizes: list[tuple[int, int]]
) -> None:
    stages = [((0, 1), (1,))] * len(percents)
    plan = make_plan(MODEL, stages, [([n], p) for n, p in enumerate(percents)], kv_tokens=100)
    pipeline = pipeline_of_plan(plan)
    kv = KvReservations(pipeline, policy_of_plan(plan).reservation)
    simulated, executed = RouteRouter(pipeline, kv, lambda stage: True), Router(plan)
    for number, (prompt, output) in enumerate(sizes):
        request = RequestState(number, 0.0, prompt, output)
        route, taken = simulated.choose(request), executed.take(prompt + output)
        assert taken == (None if route is None else route.holds[0].stage)
        if route is not None:
            kv.reserve(request, route)


@settings(deadline=None, max_examples=20)
@given(st.lists(st.integers(1, 3), min_size=1, max_size=4), st.integers(1, 200))
def test_the_simulator_and_the_runtime_divide_decodes_alike(held: list[int], decodes: int) -> None:
    """On a chain of stages of several sizes, and on one that holds all layers."""
    ends = [sum(held[: j + 1]) for j in range(len(held))]
    stages = [((end - size, end), (1,)) for end, size in zip(ends, held, strict=True)]
    chains = [(range(len(held)), 50), ([len(held)], 50)]
    plan = make_plan(bare_model(layers=ends[-1]), [*stages, ((0, ends[-1]), (1,))], chains)
    pipeline = pipeline_of_plan(plan)
    routes = RequestRoutes(pipeline)
    for executed, route in zip(loops_of(plan), pipeline.routes, strict=True):
        simulated = loop_of(pipeline, routes.of(route.stages).decode)
        assert executed.alone_s(decodes) == pytest.approx(simulated.alone_s(decodes))
        assert executed.busiest_s(decodes) == pytest.approx(simulated.busiest_s(decodes))
        counts = [micro_batches(loop, decodes, decodes) for loop in (executed, simulated)]
        assert counts[0] == counts[1]
