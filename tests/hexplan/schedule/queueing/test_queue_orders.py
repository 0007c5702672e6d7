"""Orders of requests, worked out by hand and as the papers have them."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.one_slot import Asked, Ran, completions, run_alone

from hexplan.schedule.queueing.job import Job
from hexplan.schedule.queueing.params import QUEUE_PARAMS
from hexplan.schedule.queueing.request_queue import RequestQueue
from hexplan.schedule.queueing.work import Work
from hexplan.techniques import QueueName

SECOND_EACH = Work(float, 1.0)
"""A token of a prompt takes a second, and a decode does."""
SINGLE = replace(QUEUE_PARAMS, first_quantum_decodes=1)
THREE = (Asked(0, 1, 4), Asked(1, 3, 2), Asked(2, 1, 1))


def steps(name: QueueName) -> list[str]:
    ran = run_alone(RequestQueue(name, SECOND_EACH, SINGLE), THREE)
    return [f"{one.first_s:g}-{one.end_s:g} {one.number + 1}" for one in ran]


@pytest.mark.parametrize(
    ("name", "expected", "mean"),
    [
        ("fcfs", "0-1 1, 1-2 1, 2-3 1, 3-4 1, 4-7 2, 7-8 2, 8-9 3", 6.0),
        ("mlfq", "0-1 1, 1-2 1, 2-3 3, 3-4 1, 4-7 2, 7-8 2, 8-9 1", 17 / 3),
        ("srpt", "0-1 1, 1-2 1, 2-3 3, 3-4 1, 4-5 1, 5-8 2, 8-9 2", 14 / 3),
    ],
)
def test_three_requests_run_as_worked_out_by_hand(
    name: QueueName, expected: str, mean: float
) -> None:
    """Levels of `mlfq` have quanta of 1, 2 and 4 s: the prompt of 3 s joins the third."""
    assert ", ".join(steps(name)) == expected
    ran = run_alone(RequestQueue(name, SECOND_EACH, SINGLE), THREE)
    assert sum(completions(ran, THREE)) / 3 == pytest.approx(mean)


def test_two_clients_that_always_wait_are_served_alike() -> None:
    """One sends six requests at once, the other two; they count 1 a prompt token, 2 an output."""
    asked = [Asked(0, 2, 1, "many")] * 6 + [Asked(0, 2, 1, "few")] * 2
    ran = run_alone(RequestQueue("fair", SECOND_EACH), asked)
    assert [asked[one.number].client for one in ran][:4] == ["many", "few", "many", "few"]
    first_come = run_alone(RequestQueue("fcfs", SECOND_EACH), asked)
    assert [asked[one.number].client for one in first_come][-2:] == ["few", "few"]


def test_a_client_that_comes_back_has_saved_nothing_up() -> None:
    queue = RequestQueue("fair", SECOND_EACH)
    for number in range(3):
        queue.arrive(Job(number, 10, 1, "steady"), 0.0)
    queue.admit(0)
    queue.arrive(Job(3, 10, 1, "late"), 1.0)
    queue.arrive(Job(4, 10, 1, "late"), 1.0)
    queue.admit(3)
    # Had it begun at 0, both of its requests would have gone before the other's second.
    assert [number for number in queue.ordered(1.0) if number in (1, 4)] == [1, 4]


short = st.integers(1, 30)
arrivals = st.lists(
    st.builds(Asked, st.floats(0, 60), short, st.integers(1, 20), st.sampled_from("abc")),
    min_size=1,
    max_size=12,
)
starving = replace(QUEUE_PARAMS, starve_s=15.0)


@given(arrivals, st.sampled_from(["mlfq", "srpt"]))
def test_nobody_waits_longer_than_the_bound(asked: list[Asked], name: QueueName) -> None:
    """Who has starved waits for no more than one turn of each that stood there before."""
    ran = run_alone(RequestQueue(name, SECOND_EACH, starving), asked)
    longest = max(one.prompt_tokens for one in asked)
    turn_s = longest + QUEUE_PARAMS.starved_decodes + 1
    bound_s = starving.starve_s + turn_s * (len(asked) + 1)
    for number, one in enumerate(asked):
        served = [one.at_s, *(step.end_s for step in ran if step.number == number)]
        assert max(b - a for a, b in zip(served, served[1:], strict=False)) <= bound_s
        assert len(served) == one.output_tokens + 1


def test_without_the_bound_a_long_request_waits_for_every_short_one() -> None:
    asked = [Asked(0, 8, 40), *(Asked(second, 1, 2) for second in range(1, 200, 2))]
    late = run_alone(RequestQueue("srpt", SECOND_EACH, replace(starving, starve_s=1e9)), asked)
    bound = run_alone(RequestQueue("srpt", SECOND_EACH, starving), asked)

    def longest_wait(ran: list[Ran]) -> float:
        ends = [one.end_s for one in ran if one.number == 0]
        return max(b - a for a, b in zip(ends, ends[1:], strict=False))

    assert longest_wait(late) > 150 > longest_wait(bound)


@given(arrivals, st.sampled_from(["fcfs", "mlfq", "fair", "srpt"]))
def test_the_server_is_never_idle_while_somebody_waits(asked: list[Asked], name: QueueName) -> None:
    ends = [
        run_alone(RequestQueue(queue, SECOND_EACH), asked)[-1].end_s for queue in ("fcfs", name)
    ]
    assert ends[0] == pytest.approx(ends[1])


@given(st.integers(1, 3000))
def test_prompts_between_powers_of_two_are_in_proportion(tokens: int) -> None:
    work = Work(lambda n: 0.5 + 0.25 * n, 0.75)
    assert work.prompt_s(tokens) == pytest.approx(0.5 + 0.25 * tokens)
