"""The decisions of a simulated trace, taken once more by what a launch runs.

As the simulation goes on, the engine, the rounds and the step queues of every stage are told what
arrives, in the same order. They must admit the same requests to the same routes, send the same
micro-batches, and take the same steps.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from support.runtime_plans import StageSpec, bare_model, make_plan

from hexplan.plan import Plan
from hexplan.step_limits import StepLimits
from hexplan_runtime.batch import Batch, Row, merge
from hexplan_runtime.engine.engine import Engine
from hexplan_runtime.request import GREEDY, EndRule, Request
from hexplan_runtime.stage.rounds import Rounds
from hexplan_runtime.stage.step_queue import StepQueue
from hexplan_solver.flow.network import OUTSIDE
from hexplan_solver.simulate import pipeline_of_plan, policy_of_plan
from hexplan_solver.simulate.request_state import RequestState
from hexplan_solver.simulate.simulation import Simulation
from hexplan_solver.simulate.stage_state import RunningStep
from hexplan_solver.simulate.token_group import TokenGroup
from hexplan_solver.simulate.traffic import Arrival, Replay
from hexplan_solver.simulate.window import Window

MODEL = bare_model(layers=4)
LIMITS = StepLimits(tokens=24, decodes=6)
KV_TOKENS = 220
LAYOUTS: dict[str, tuple[list[StageSpec], list[tuple[list[int], int]]]] = {
    "one stage": ([((0, 4), (1,))], [([0], 100)]),
    "two whole routes": ([((0, 4), (1,)), ((0, 4), (1,))], [([0], 70), ([1], 30)]),
    "two stages": ([((0, 2), (1,)), ((2, 4), (1,))], [([0, 1], 100)]),
    "a shared first stage": (
        [((0, 2), (1,)), ((2, 4), (1,)), ((2, 4), (1,))],
        [([0, 1], 60), ([0, 2], 40)],
    ),
}
MOST_NEW = 16
"""What `make_plan` expects, so that reservations are the same as the simulator's."""


class Followed(Simulation):
    """A simulation whose every decision is compared with that of a launch."""

    def __init__(self, plan: Plan, arrivals: list[Arrival]) -> None:
        traffic, policy = Replay(tuple(arrivals)), policy_of_plan(plan)
        super().__init__(pipeline_of_plan(plan), traffic, policy, Window(None))
        self._engine = Engine(plan)
        self._engine.reuses_prefixes = False
        place = {stage.id: index for index, stage in enumerate(plan.stages)}
        chains = [[place[hop.stage] for hop in route.hops] for route in plan.routes]
        self._route_of = {frozenset(chain): route for route, chain in enumerate(chains)}
        first = {chain[0]: Rounds(plan, plan.stages[chain[0]].id) for chain in chains}
        self._rounds = [first[chain[0]] for chain in chains]
        """Those of the stage where each route begins."""
        self._queues = [StepQueue(plan, stage.id) for stage in plan.stages]
        self._num_admitted = 0
        self.compared: Counter[str] = Counter()
        enqueue = self.admission.enqueue

        def enqueue_twice(request: RequestState) -> bool:
            prompt = (1,) * request.prompt_tokens
            self._engine.enqueue(request.number, Request(prompt, request.output_tokens))
            return enqueue(request)

        self.admission.enqueue = enqueue_twice  # type: ignore[method-assign]
        for stage, state in enumerate(self.stage_states):
            state.next_step = partial(  # type: ignore[method-assign]
                self._compare_step, stage, state.next_step
            )

    def route(self, request: RequestState) -> int:
        """Return the plan's index of a request's route."""
        assert request.route is not None
        return self._route_of[frozenset(hold.stage for hold in request.route.holds)]

    def batch(self, request: RequestState, group: TokenGroup | None) -> Batch:
        """Return a request's part of a group, or its next token, as a launch carries it."""
        position, tokens = request.prompt_tokens + request.emitted - 1, 1
        if group is not None and group.is_prompt:
            position, tokens = group.start, group.tokens
        most = request.prompt_tokens + request.output_tokens
        decodes = group is None or not group.is_prompt
        row = Row(
            request.number,
            self.route(request),
            position,
            tokens,
            most,
            GREEDY,
            decodes=decodes,
            end_rule=EndRule(most),
        )
        return Batch((row,), torch.zeros(tokens, dtype=torch.int64))

    def _admit(self) -> None:
        self._engine.admit()
        before = set(self.admission.running)
        super()._admit()
        admitted = [one for n, one in self.admission.running.items() if n not in before]
        flights = [flight for n, flight in self._engine._flights.items() if n >= self._num_admitted]
        self._num_admitted += len(admitted)
        found = [(flight.asked.ticket, flight.route) for flight in flights]
        assert found == [(request.number, self.route(request)) for request in admitted]
        self.compared["admissions"] += len(found)
        for request in admitted:
            prompt = TokenGroup([request], request.prompt_tokens, 0, is_prompt=True)
            self._rounds[self.route(request)].enter(self.batch(request, prompt))

    def _receive(self, edge: int, group: TokenGroup) -> None:
        target, _ = self._targets[edge]
        if target != OUTSIDE:
            parts = [self.batch(request, group) for request in group.requests]
            self._queues[target].take(merge(parts), 0)
        super()._receive(edge, group)

    def _compare_step(
        self, stage: int, next_step: Callable[[], RunningStep | None]
    ) -> RunningStep | None:
        step = next_step()
        if step is not None:
            wanted: Counter[tuple[int, bool]] = Counter()
            for group in step.groups:
                tokens = group.tokens if group.is_prompt else 1
                for request in group.requests:
                    wanted[request.number, group.is_prompt] += tokens
            batch = self._queues[stage].next_batch()
            assert batch is not None
            found: Counter[tuple[int, bool]] = Counter()
            for row in batch.rows:
                found[row.request, not row.decodes] += row.tokens
            assert found == wanted
            self.compared["steps"] += 1
        return step

    def _going(self, requests: list[RequestState]) -> list[RequestState]:
        going = super()._going(requests)
        for request in going:
            self._engine.receive(self.batch(request, None))
        return going

    def _end(self, request: RequestState) -> None:
        token = self.batch(request, None)
        turn = self._engine.receive(token)
        assert [event.is_last for event in turn.events] == [True]
        end = replace(token.rows[0], position=0, tokens=0, decodes=False, closes=True)
        self._rounds[end.route].come_back(Batch((end,)))
        self._engine.receive(Batch((end,)))
        super()._end(request)

    def _decode(self, requests: list[RequestState]) -> None:
        for request in requests:
            self._rounds[self.route(request)].come_back(self.batch(request, None))
        super()._decode(requests)

    def _send_waiting(self) -> None:
        found: dict[int, list[list[int]]] = {}
        for rounds in dict.fromkeys(self._rounds):
            while taken := [batch.rows[0] for batch in rounds.take()]:
                for route in dict.fromkeys(row.route for row in taken):
                    numbers = [row.request for row in taken if row.route == route]
                    found.setdefault(route, []).append(numbers)
        wanted: dict[int, list[list[int]]] = {}
        for edge, requests in self._entry.take():
            numbers = [request.number for request in requests]
            wanted.setdefault(self.route(requests[0]), []).append(numbers)
            self._send(edge, TokenGroup.of_decodes(requests))
        assert found == wanted
        self.compared["micro-batches"] += sum(map(len, found.values()))


@pytest.mark.parametrize("layout", LAYOUTS)
@settings(deadline=None, max_examples=25)
@given(
    st.lists(
        st.tuples(
            st.floats(0.0, 1e-3) | st.just(0.0), st.integers(1, 60), st.integers(1, MOST_NEW)
        ),
        min_size=1,
        max_size=20,
    )
)
def test_a_launch_decides_as_the_simulator_does(
    layout: str, requests: list[tuple[float, int, int]]
) -> None:
    stages, routes = LAYOUTS[layout]
    plan = make_plan(MODEL, stages, routes, kv_tokens=KV_TOKENS, step_limits=LIMITS)
    now_s = 0.0
    arrivals: list[Arrival] = []
    for gap_s, prompt, output in requests:
        now_s += gap_s
        arrivals.append((now_s, prompt, output))
    followed = Followed(plan, arrivals)
    recorder = followed.run()
    assert recorder.finished == followed.compared["admissions"] == len(arrivals)
    decodes = sum(output - 1 for _, _, output in arrivals)
    assert (followed.compared["micro-batches"] > 0) == (decodes > 0)
    assert followed.compared["steps"] >= len(stages[: len(routes[0][0])])
