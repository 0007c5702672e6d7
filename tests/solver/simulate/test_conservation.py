"""Nothing is lost, nothing is made up, and no KV cache overflows, whatever happens."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st
from support.pipelines import SteadySteps, TokenSteps, joined

from hexplan.results.outcome import Phase
from hexplan_solver.flow.network import OUTSIDE
from hexplan_solver.simulate import (
    CHUNKED,
    WHOLE,
    EdgeModel,
    Outage,
    Pipeline,
    Policy,
    Replay,
    Reservation,
    RouteModel,
    StageModel,
    Window,
    simulate,
)
from hexplan_solver.simulate.engine import Engine

PAIRS = ((OUTSIDE, 0), (OUTSIDE, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, OUTSIDE), (3, OUTSIDE))


RANGES = ((0, 3), (0, 2), (2, 5), (1, 5))
STEPS = st.sampled_from([SteadySteps(0.3, 0.1), TokenSteps(0.02, 0.01), TokenSteps(0.01, 0.05)])
RATES = st.sampled_from([100.0, 5_000.0, 1e9])


@st.composite
def stage_models(draw: st.DrawFn, position: int, layers: tuple[int, int]) -> StageModel:
    room, prompts = draw(st.integers(60, 300)), draw(st.integers(1, 3))
    return StageModel(f"s{position}", layers, draw(STEPS), room, max_prompts=prompts)


@st.composite
def edge_models(draw: st.DrawFn, source: int, target: int) -> EdgeModel:
    latency_s = draw(st.sampled_from([0.0, 0.05]))
    return EdgeModel(source, target, draw(RATES), latency_s, 10, 1.0, (0,))


@st.composite
def pipelines(draw: st.DrawFn) -> Pipeline:
    """Two stages, then two: layers [0, 3), [0, 2), [2, 5) and [1, 5) of 5, so some enter midway."""
    stages = tuple(draw(stage_models(j, layers)) for j, layers in enumerate(RANGES))
    edges = tuple(draw(edge_models(*ends)) for ends in PAIRS)
    routes = tuple(RouteModel((a, b), draw(st.integers(1, 9))) for a in (0, 1) for b in (2, 3))
    return Pipeline(5, stages, edges, routes, (draw(RATES),), 10)


@st.composite
def split_pipelines(draw: st.DrawFn) -> Pipeline:
    """Prompts run on the same four, decodes on three more and on the first of the four."""
    ranges = (*RANGES, (0, 4), (3, 5), (0, 5))
    phases: list[Phase] = ["both", "prefill", "prefill", "prefill", "decode", "decode", "decode"]
    stages = [
        replace(draw(stage_models(j, layers)), phase=phase)
        for j, (layers, phase) in enumerate(zip(ranges, phases, strict=True))
    ]
    prefill = st.sampled_from([(0, 2), (0, 3), (1, 2), (1, 3)])
    decode = st.sampled_from([(4, 5), (6,), (0, 5)])
    pairs = draw(st.lists(st.tuples(prefill, decode), min_size=1, max_size=4, unique=True))
    routes = [RouteModel(first, draw(st.integers(1, 9)), then) for first, then in pairs]

    def edge(source: int, target: int) -> EdgeModel:
        return draw(edge_models(source, target))

    return joined(stages, routes, edge, edge, (draw(RATES),))


REQUESTS = st.lists(
    st.tuples(st.floats(0, 10), st.integers(1, 40), st.integers(1, 20)), min_size=1, max_size=25
)
POLICIES = st.builds(
    replace,
    st.sampled_from([CHUNKED, WHOLE]),
    chunk_tokens=st.sampled_from([None, 1, 7, 64]),
    decodes_go_first=st.booleans(),
    delay_s=st.sampled_from([0.0, 0.1]),
    routing=st.sampled_from(["routes", "edges", "responses"]),
    sends_singly=st.booleans(),
    max_decode_tokens=st.sampled_from([1, 3, 256]),
    reservation=st.sampled_from([Reservation(), Reservation(expected_output_tokens=2)]),
)


def outages(num_stages: int) -> st.SearchStrategy[list[Outage]]:
    stage = st.integers(0, num_stages - 1)
    return st.lists(st.builds(Outage, stage, st.floats(0, 8), st.floats(8.5, 12)), max_size=2)


class Watched(Engine):
    """An engine that looks at the KV caches after every change, and counts what it emits."""

    def _end(self, request: object) -> None:
        self._look()
        super()._end(request)  # type: ignore[arg-type]
        self._look()

    def _admit(self) -> None:
        super()._admit()
        self._look()

    def _look(self) -> None:
        used = [0] * len(self.stations)
        for request in self.intake.running.values():
            assert request.course is not None
            assert request.context_tokens <= request.reserved_tokens + 1
            for held in request.course.held:
                used[held.stage] += held.layers * request.reserved_tokens
                used[held.stage] += held.lent * request.prompt_tokens * (request.unmoved > 0)
        assert used == self.intake.room.reserved
        assert all(u <= c for u, c in zip(used, self.intake.room.capacity, strict=True))


def check_a_whole_run(
    pipeline: Pipeline,
    requests: list[tuple[float, int, int]],
    policy: Policy,
    failing: list[Outage],
) -> None:
    """Run to the end, and see that every request is finished with all its tokens."""
    traffic = Replay(tuple(sorted(requests)))
    engine = Watched(pipeline, traffic, policy, Window(None))
    recorder = engine.run(failing)
    assert recorder.arrived == len(requests)
    assert recorder.finished + recorder.turned_away == len(requests)
    assert not engine.intake.running and not engine.intake.waiting
    assert engine.intake.room.reserved == [0] * len(pipeline.stages)
    assert all(not queue for station in engine.stations for queue in station.queues)
    finished = sorted(recorder.output_tokens)
    if not recorder.turned_away:
        assert finished == sorted(output for _, _, output in requests)
    assert recorder.tokens == sum(finished)
    for arrival, admitted, first, last in zip(
        recorder.arrival_s, recorder.admitted_s, recorder.first_s, recorder.last_s, strict=True
    ):
        assert 0 <= arrival <= min(admitted, first) and max(admitted, first) <= last


@settings(max_examples=60, deadline=None)
@given(pipelines(), REQUESTS, POLICIES, outages(4))
def test_every_request_is_finished_with_all_its_tokens(
    pipeline: Pipeline,
    requests: list[tuple[float, int, int]],
    policy: Policy,
    failing: list[Outage],
) -> None:
    check_a_whole_run(pipeline, requests, policy, failing)


@settings(max_examples=40, deadline=None)
@given(split_pipelines(), REQUESTS, POLICIES, outages(7))
def test_and_so_where_prefill_and_decode_are_on_different_stages(
    pipeline: Pipeline,
    requests: list[tuple[float, int, int]],
    policy: Policy,
    failing: list[Outage],
) -> None:
    check_a_whole_run(pipeline, requests, replace(policy, routing="routes"), failing)


@settings(max_examples=40, deadline=None)
@given(st.one_of(pipelines(), split_pipelines()), REQUESTS, POLICIES, st.integers(0, 3))
def test_without_faults_a_cut_off_run_still_adds_up(
    pipeline: Pipeline, requests: list[tuple[float, int, int]], policy: Policy, horizon: int
) -> None:
    if pipeline.is_split:
        policy = replace(policy, routing="routes")
    traffic = Replay(tuple(sorted(requests)))
    engine = Watched(pipeline, traffic, policy, Window(1.0 + horizon, snapshots=10))
    recorder = engine.run()
    there = len(engine.intake.running) + len(engine.intake.waiting)
    assert recorder.arrived == recorder.finished + recorder.turned_away + there
    assert recorder.arrived == sum(at_s < 1.0 + horizon for at_s, _, _ in requests)


@settings(max_examples=20, deadline=None)
@given(split_pipelines(), REQUESTS, st.integers(0, 6))
def test_a_split_run_is_the_same_each_time(
    pipeline: Pipeline, requests: list[tuple[float, int, int]], fails: int
) -> None:
    traffic, failing = Replay(tuple(sorted(requests))), [Outage(fails, 2.0, 3.0)]
    first, second = (
        simulate(pipeline, traffic, CHUNKED, Window(20.0), outages=failing) for _ in range(2)
    )
    assert first.model_dump_json() == second.model_dump_json()
