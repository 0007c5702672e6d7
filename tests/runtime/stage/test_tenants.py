"""What a leader lets go of when other stages are lost."""

from __future__ import annotations

import torch
from support.runtime_plans import bare_model, make_plan

from hexplan_runtime.batch import Batch, Row
from hexplan_runtime.request import GREEDY
from hexplan_runtime.stage.messages import Renewal
from hexplan_runtime.stage.step_queue import StepQueue

PLAN = make_plan(
    bare_model(4),
    [((0, 2), (1,)), ((2, 4), (1,)), ((2, 4), (1,))],
    [((0, 1), 50), ((0, 2), 50)],
)


def prompt(request: int, route: int) -> Batch:
    row = Row(request, route, 0, 2, 8, GREEDY, samples=True)
    return Batch((row,), torch.tensor([1, 2]))


def renewal(floors: tuple[int, int], *others: int) -> Renewal:
    return Renewal(number=1, generations=(0, 1, 0), floors=floors, others=others)


def ended(queue: StepQueue, order: Renewal) -> set[int]:
    return {row.request for batch in queue.renew(order) for row in batch.rows if row.closes}


def run_all(queue: StepQueue) -> list[int]:
    """Run what waits, and return the requests."""
    batch = queue.next_batch()
    return [] if batch is None else [row.request for row in batch.rows]


def test_what_has_run_on_a_lost_route_is_ended_and_the_rest_goes_on() -> None:
    queue = StepQueue(PLAN, "s0")
    for request, route in ((0, 0), (1, 1), (2, 0)):
        queue.take(prompt(request, route), 0)
    assert run_all(queue) == [0, 1, 2]
    assert ended(queue, renewal((9, 0))) == {0, 2}


def test_what_waits_or_still_comes_of_a_lost_route_is_dropped() -> None:
    queue = StepQueue(PLAN, "s0")
    queue.take(prompt(0, 0), 0)
    assert ended(queue, renewal((9, 0))) == set()
    queue.take(prompt(1, 0), 0)
    queue.take(prompt(2, 1), 0)
    queue.take(prompt(9, 0), 0)
    assert run_all(queue) == [2, 9]


def test_single_requests_of_other_routes_may_be_over_too() -> None:
    queue = StepQueue(PLAN, "s0")
    queue.take(prompt(0, 1), 0)
    queue.take(prompt(1, 1), 0)
    assert run_all(queue) == [0, 1]
    assert ended(queue, renewal((9, 0), 1)) == {1}


def test_a_token_that_comes_back_late_is_dropped() -> None:
    queue = StepQueue(PLAN, "s0")
    queue.take(prompt(0, 0), 0)
    assert run_all(queue) == [0]
    queue.renew(renewal((9, 0)))
    late = Row(0, 0, 2, 1, 8, GREEDY, decodes=True)
    queue.take_back(Batch((late,), torch.tensor([3])))
    assert queue.next_batch() is None
