"""Simulated requests under queues: by hand, and whatever comes."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.pipelines import TokenSteps, chain

from hexplan.schedule.queueing.params import QUEUE_PARAMS
from hexplan.techniques import QueueName
from hexplan_solver.simulate import (
    CHUNKED,
    Offline,
    Outage,
    PipelineModel,
    Replay,
    Window,
    simulate,
)
from hexplan_solver.simulate.queueing.queued_simulation import QueuedSimulation
from hexplan_solver.simulate.traffic import FixedLengths

THREE = Replay(((0.0, 1, 4), (1.1, 3, 2), (2.0, 1, 1)))
ONE_AT_A_TIME = replace(CHUNKED, max_decode_tokens=1, is_paced=False)
TO_THE_END = Window(None, 0.0, has_slowdowns=True)


def ends(name: QueueName, pipeline: PipelineModel, traffic: Replay) -> list[float]:
    """How long each request took, by its number."""
    params = replace(QUEUE_PARAMS, first_quantum_decodes=1)
    policy = replace(ONE_AT_A_TIME, queue=name, queue_params=params)
    simulation = QueuedSimulation(pipeline, traffic, policy, TO_THE_END)
    taken: dict[int, float] = {}
    end = simulation._end

    def note(request):  # type: ignore[no-untyped-def]
        taken[request.number] = simulation.now_s - request.arrival_s
        end(request)

    simulation._end = note  # type: ignore[method-assign]
    simulation.run()
    return [taken[number] for number in sorted(taken)]


@pytest.mark.parametrize(("name", "expected"), [("mlfq", [9, 6.9, 1]), ("srpt", [5, 7.9, 1])])
def test_three_requests_take_as_long_as_worked_out_by_hand(
    name: QueueName, expected: list[float]
) -> None:
    """As in `test_queue_orders.py`, but for the second, which comes 0.1 s later."""
    assert ends(name, chain(TokenSteps(1.0, 1.0)), THREE) == pytest.approx(expected)


def test_a_short_request_takes_the_room_of_a_long_one_which_goes_on_later() -> None:
    """There is room for 52 tokens; the long one needs 50, of which it has 2 when it makes way.

    Without host memory it goes on, as nobody starts over for the sake of a queue.
    """
    pipeline = chain(TokenSteps(1.0, 1.0), kv_tokens=52)
    stage = replace(pipeline.stages[0], kv_move_s=0.5)
    moving = replace(pipeline, stages=(stage,))
    traffic = Replay(((0.0, 1, 49), (1.5, 1, 2)))
    policy = replace(CHUNKED, queue="srpt")
    outcome = simulate(moving, traffic, policy, TO_THE_END)
    assert outcome.finished == 2
    assert (outcome.swaps, outcome.restarts) == (1, 0)
    no_host = replace(policy, queue_params=replace(QUEUE_PARAMS, host_share=0.0))
    again = simulate(moving, traffic, no_host, TO_THE_END)
    assert (again.finished, again.swaps, again.restarts) == (2, 0, 0)


def test_queues_need_requests_that_wait() -> None:
    with pytest.raises(ValueError, match="requests that wait"):
        simulate(
            chain(TokenSteps(1.0, 1.0)),
            Offline(FixedLengths(1, 1)),
            replace(CHUNKED, queue="mlfq"),
            Window(10.0),
        )


def test_a_quiet_client_does_not_wait_for_all_requests_of_a_loud_one() -> None:
    """There is room for one request of 3 s at a time; the quiet client's comes last of seven."""
    asked = tuple((0.01 * number, 2, 2) for number in range(7))
    traffic = Replay(asked, clients=("loud",) * 6 + ("quiet",))
    taken = ends("fair", chain(TokenSteps(1.0, 1.0), kv_tokens=4), traffic)
    assert taken[6] == pytest.approx(6.0, abs=0.1)
    assert max(taken[:6]) == pytest.approx(21.0, abs=0.1)


requests = st.lists(
    st.tuples(st.floats(0, 40), st.integers(1, 12), st.integers(1, 12)), min_size=1, max_size=14
)


@given(
    requests,
    st.sampled_from(["mlfq", "fair", "srpt"]),
    st.sampled_from([0.0, 0.3, 2.0]),
    st.integers(1, 3),
    st.booleans(),
)
@settings(max_examples=30)
def test_every_request_ends_and_no_cache_holds_more_than_it_can(
    asked: list[tuple[float, int, int]],
    name: QueueName,
    host_share: float,
    decodes: int,
    has_outage: bool,
) -> None:
    pipeline = chain(TokenSteps(1.0, 0.25), TokenSteps(0.5, 0.5), kv_tokens=30)
    stages = tuple(replace(stage, kv_move_s=0.05) for stage in pipeline.stages)
    params = replace(QUEUE_PARAMS, host_share=host_share, starve_s=5.0)
    policy = replace(
        CHUNKED, chunk_tokens=4, max_decode_tokens=decodes, queue=name, queue_params=params
    )
    outages = [Outage(1, 7.0, 9.0)] if has_outage else []
    traffic = Replay(tuple(sorted(asked)))
    simulation = QueuedSimulation(replace(pipeline, stages=stages), traffic, policy, TO_THE_END)
    recorder = simulation.run(outages)
    assert recorder.finished == len(asked)
    assert sorted(recorder.output_tokens) == sorted(output for _, _, output in asked)
    assert recorder.tokens == sum(output for _, _, output in asked)
    assert simulation.admission.kv.space.reserved == [0, 0]
    assert simulation._host._space.reserved == [0, 0]
