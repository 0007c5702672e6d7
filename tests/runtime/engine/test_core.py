"""The engine's thread on real, small pipelines, against transformers' greedy tokens."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from queue import SimpleQueue
from threading import Event, Thread, current_thread

import pytest
from support.processes import wait_until
from support.reference import Continuation, clear_continuations, load_reference
from support.runtime_plans import make_plan

from hexplan.errors import HexplanError, InputError, LaunchError
from hexplan.model import Model
from hexplan_runtime.engine.core import EngineCore
from hexplan_runtime.engine.outcomes import Cancelled, Failed, Overloaded
from hexplan_runtime.launch.pipeline import Pipeline
from hexplan_runtime.request import Request, TokenEvent

NUM_TOKENS = 12
TWO = [((0, 2), (1,)), ((2, 4), (1,))]
KV_TOKENS = 600
LONG = Request((1, 2, 3), 500)


@pytest.fixture(scope="module")
def continuations(llama: Path) -> list[Continuation]:
    return clear_continuations(load_reference(llama), 20, NUM_TOKENS)


@pytest.fixture(scope="module")
def pipeline(llama: Path, llama_model: Model) -> Iterator[Pipeline]:
    """Give two stages in a row, with room for one long request and a few short ones."""
    with Pipeline(make_plan(llama_model, TWO, kv_tokens=KV_TOKENS), llama) as running:
        yield running


@pytest.fixture
def core(pipeline: Pipeline) -> Iterator[EngineCore]:
    """Give its engine, which must be idle and hold no room at the end of each test."""
    yield pipeline.core
    assert wait_until(lambda: is_idle(pipeline.core))


def is_idle(core: EngineCore) -> bool:
    seen = core.snapshot()
    return not (seen.running or seen.waiting or any(stage.held_tokens for stage in seen.kv))


def requests_of(continuations: list[Continuation]) -> list[Request]:
    return [Request(one.prompt_ids, NUM_TOKENS) for one in continuations]


def ended(core: EngineCore) -> dict[str, int]:
    return {end.reason: end.requests for end in core.snapshot().ends}


def test_callers_in_many_threads_get_their_own_tokens(
    core: EngineCore, continuations: list[Continuation]
) -> None:
    found: dict[int, list[int]] = {}

    def call(index: int, request: Request) -> None:
        found[index] = [event.token_id for event in core.stream(request)]

    calls = [Thread(target=call, args=pair) for pair in enumerate(requests_of(continuations))]
    for thread in calls:
        thread.start()
    for thread in calls:
        thread.join()
    assert found == {i: list(one.token_ids) for i, one in enumerate(continuations)}


def test_two_calls_of_generate_share_the_pipeline(
    pipeline: Pipeline, core: EngineCore, continuations: list[Continuation]
) -> None:
    requests = requests_of(continuations[:4])
    first, second = (pipeline.generate(requests) for _ in range(2))
    found: list[list[list[int]]] = [[[] for _ in requests] for _ in range(2)]
    for pair in zip(first, second, strict=True):
        for tokens, event in zip(found, pair, strict=True):
            tokens[event.request_index].append(event.token_id)
    expected = [list(one.token_ids) for one in continuations[:4]]
    assert found == [expected, expected]


def test_deliveries_come_in_the_engines_thread(core: EngineCore) -> None:
    heard: SimpleQueue[tuple[str, TokenEvent | Failed]] = SimpleQueue()
    core.submit(Request((1, 2), 2), lambda event: heard.put((current_thread().name, event)))
    (first, one), (second, two) = heard.get(), heard.get()
    assert (first, second) == ("engine", "engine")
    assert isinstance(one, TokenEvent)
    assert isinstance(two, TokenEvent)
    assert (one.finish_reason, two.finish_reason) == (None, "length")


def test_a_cancelled_request_ends_with_its_reason_and_frees_its_room(core: EngineCore) -> None:
    before = ended(core).get("cancelled", 0)
    heard: SimpleQueue[TokenEvent | Failed] = SimpleQueue()
    ticket = core.submit(LONG, heard.put)
    assert isinstance(heard.get(), TokenEvent)
    assert [stage.held_tokens > 0 for stage in core.snapshot().kv] == [True, True]
    ticket.cancel("tired of it")
    ticket.cancel("a second time changes nothing")
    assert str(next(until_failed(heard)).error) == "the request was cancelled: tired of it"
    assert wait_until(lambda: is_idle(core))
    assert ended(core)["cancelled"] == before + 1


def until_failed(heard: SimpleQueue[TokenEvent | Failed]) -> Iterator[Failed]:
    """Yield the end of a request."""
    while isinstance(event := heard.get(), TokenEvent):
        assert not event.is_last
    yield event


def test_a_request_that_waits_can_be_cancelled(core: EngineCore) -> None:
    heard: SimpleQueue[TokenEvent | Failed] = SimpleQueue()
    holder = core.stream(LONG)
    next(holder)
    ticket = core.submit(LONG, heard.put)
    assert wait_until(lambda: core.snapshot().waiting == 1)
    ticket.cancel()
    assert isinstance(next(until_failed(heard)).error, Cancelled)
    assert core.snapshot().waiting == 0
    holder.close()


def test_a_reader_that_stops_loses_its_request_and_harms_nobody(
    core: EngineCore, continuations: list[Continuation]
) -> None:
    idle = core.stream(LONG, max_unread=5)
    next(idle)
    other = [event.token_id for event in core.stream(requests_of(continuations)[0])]
    assert other == list(continuations[0].token_ids)
    assert wait_until(lambda: is_idle(core))
    with pytest.raises(Cancelled, match="5 tokens waited for its reader"):
        list(idle)


def test_a_stream_that_is_dropped_is_cancelled(core: EngineCore) -> None:
    stream = core.stream(LONG)
    next(stream)
    del stream
    assert wait_until(lambda: is_idle(core))


def test_a_delivery_that_fails_ends_its_own_request_only(
    core: EngineCore, continuations: list[Continuation]
) -> None:
    def refuse(_: TokenEvent | Failed) -> None:
        raise RuntimeError("the loop is closed")

    core.submit(LONG, refuse)
    (request, *_), (expected, *_) = requests_of(continuations), continuations
    assert [event.token_id for event in core.stream(request)] == list(expected.token_ids)


def test_a_full_queue_and_wrong_requests_are_refused(llama: Path, llama_model: Model) -> None:
    plan = make_plan(llama_model, TWO, kv_tokens=KV_TOKENS)
    with Pipeline(plan, llama, max_waiting=2) as pipeline:
        core = pipeline.core
        running = core.stream(LONG)
        next(running)
        waiting = [core.stream(LONG) for _ in range(2)]
        with pytest.raises(Overloaded, match="2 requests wait"):
            core.submit(LONG, lambda _: None)
        with pytest.raises(InputError, match="prompt token 256"):
            core.submit(Request((256,), 1), lambda _: None)
        with pytest.raises(InputError, match="601 tokens"):
            core.submit(Request((1,) * 300, 301), lambda _: None)
        running.close()
        assert len(list(waiting[0])) == LONG.max_tokens


def test_a_drained_engine_ends_what_runs_and_takes_nothing_new(
    llama: Path, llama_model: Model
) -> None:
    with Pipeline(make_plan(llama_model, TWO, kv_tokens=KV_TOKENS), llama) as pipeline:
        stream = pipeline.core.stream(Request((1, 2), 100))
        assert not pipeline.core.drain(0.0)
        with pytest.raises(Overloaded, match="about to end"):
            pipeline.core.submit(LONG, lambda _: None)
        assert pipeline.core.drain()
        assert len(list(stream)) == 100
        assert wait_until(lambda: is_idle(pipeline.core))


def test_every_request_under_way_hears_of_a_rank_that_died(llama: Path, llama_model: Model) -> None:
    with Pipeline(make_plan(llama_model, TWO, kv_tokens=KV_TOKENS), llama) as pipeline:
        streams = [pipeline.core.stream(LONG) for _ in range(3)]
        next(streams[0])
        os.kill(pipeline.pids[1], signal.SIGKILL)
        for stream in streams:
            with pytest.raises(LaunchError, match="stage s1 rank 0 .* was ended by SIGKILL"):
                list(stream)
        with pytest.raises(LaunchError, match="stage s1 rank 0"):
            pipeline.core.submit(LONG, lambda _: None)
        assert ended(pipeline.core) == {"failed": 3}


def test_requests_under_way_hear_that_the_pipeline_is_closed(
    llama: Path, llama_model: Model
) -> None:
    heard: SimpleQueue[TokenEvent | Failed] = SimpleQueue()
    begun = Event()

    def deliver(event: TokenEvent | Failed) -> None:
        heard.put(event)
        begun.set()

    with Pipeline(make_plan(llama_model, TWO, kv_tokens=KV_TOKENS), llama) as pipeline:
        pipeline.core.submit(LONG, deliver)
        assert begun.wait(60)
    assert "closed before" in str(next(until_failed(heard)).error)
    with pytest.raises(HexplanError, match="not running"):
        pipeline.core.submit(LONG, lambda _: None)


def test_tokens_are_counted_by_edge_and_route(llama: Path, llama_model: Model) -> None:
    stages = [((0, 2), (1,)), ((2, 4), (1,)), ((0, 4), (1,))]
    plan = make_plan(llama_model, stages, [([0, 1], 50), ([2], 50)])
    with Pipeline(plan, llama) as pipeline:
        assert len(list(pipeline.generate([Request((1, 2, 3), 4)] * 2))) == 8
        assert wait_until(lambda: is_idle(pipeline.core))
        seen = pipeline.core.snapshot()
    assert [route.tokens for route in seen.routes] == [3 + 3, 3 + 3]
    assert {(edge.source, edge.target): edge.tokens for edge in seen.edges} == {
        ("entry", "s0"): 6,
        ("s0", "s1"): 6,
        ("s1", "exit"): 6,
        ("entry", "s2"): 6,
        ("s2", "exit"): 6,
    }
    assert [(stage.stage, stage.total_tokens) for stage in seen.kv] == [
        ("s0", 4096),
        ("s1", 4096),
        ("s2", 4096),
    ]
