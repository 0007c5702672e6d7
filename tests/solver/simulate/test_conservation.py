"""Nothing is lost, nothing is made up, and no KV cache overflows, whatever happens."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st
from support.pipelines import SteadySteps, TokenSteps

from hexplan_solver.network import OUTSIDE
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
)
from hexplan_solver.simulate.engine import Engine

PAIRS = ((OUTSIDE, 0), (OUTSIDE, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, OUTSIDE), (3, OUTSIDE))


@st.composite
def pipelines(draw: st.DrawFn) -> Pipeline:
    """Two stages, then two: layers [0, 3), [0, 2), [2, 5) and [1, 5) of 5, so some enter midway."""
    ranges = ((0, 3), (0, 2), (2, 5), (1, 5))
    room = st.integers(60, 300)
    steps = st.sampled_from([SteadySteps(0.3, 0.1), TokenSteps(0.02, 0.01), TokenSteps(0.01, 0.05)])
    stages = tuple(
        StageModel(f"s{j}", layers, draw(steps), draw(room), max_prompts=draw(st.integers(1, 3)))
        for j, layers in enumerate(ranges)
    )
    rate = st.sampled_from([100.0, 5_000.0, 1e9])
    edges = tuple(
        EdgeModel(a, b, draw(rate), draw(st.sampled_from([0.0, 0.05])), 10, 1.0, (0,))
        for a, b in PAIRS
    )
    routes = tuple(RouteModel((a, b), draw(st.integers(1, 9))) for a in (0, 1) for b in (2, 3))
    return Pipeline(5, stages, edges, routes, (draw(rate),), 10)


REQUESTS = st.lists(
    st.tuples(st.floats(0, 10), st.integers(1, 40), st.integers(1, 20)), min_size=1, max_size=25
)
POLICIES = st.builds(
    replace,
    st.sampled_from([CHUNKED, WHOLE]),
    chunk_tokens=st.sampled_from([None, 1, 7, 64]),
    decodes_go_first=st.booleans(),
    delay_s=st.sampled_from([0.0, 0.1]),
    routing=st.sampled_from(["routes", "edges"]),
    sends_singly=st.booleans(),
    max_decode_tokens=st.sampled_from([1, 3, 256]),
    reservation=st.sampled_from([Reservation(), Reservation(expected_output_tokens=2)]),
)
OUTAGES = st.lists(
    st.builds(Outage, st.integers(0, 3), st.floats(0, 8), st.floats(8.5, 12)), max_size=2
)


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
            pairs = zip(request.course.stages, request.course.held_layers, strict=True)
            for stage, layers in pairs:
                used[stage] += layers * request.reserved_tokens
        assert used == self.intake.room.reserved
        assert all(u <= c for u, c in zip(used, self.intake.room.capacity, strict=True))


@settings(max_examples=60, deadline=None)
@given(pipelines(), REQUESTS, POLICIES, OUTAGES)
def test_every_request_is_finished_with_all_its_tokens(
    pipeline: Pipeline,
    requests: list[tuple[float, int, int]],
    policy: Policy,
    outages: list[Outage],
) -> None:
    traffic = Replay(tuple(sorted(requests)))
    engine = Watched(pipeline, traffic, policy, Window(None))
    recorder = engine.run(outages)
    assert recorder.arrived == len(requests)
    assert recorder.finished + recorder.turned_away == len(requests)
    assert not engine.intake.running and not engine.intake.waiting
    assert engine.intake.room.reserved == [0, 0, 0, 0]
    assert all(not queue for station in engine.stations for queue in station.queues)
    finished = sorted(recorder.output_tokens)
    if not recorder.turned_away:
        assert finished == sorted(output for _, _, output in requests)
    assert recorder.tokens == sum(finished)
    for arrival, admitted, first, last in zip(
        recorder.arrival_s, recorder.admitted_s, recorder.first_s, recorder.last_s, strict=True
    ):
        assert 0 <= arrival <= min(admitted, first) and max(admitted, first) <= last


@settings(max_examples=40, deadline=None)
@given(pipelines(), REQUESTS, POLICIES, st.integers(0, 3))
def test_without_faults_a_cut_off_run_still_adds_up(
    pipeline: Pipeline, requests: list[tuple[float, int, int]], policy: Policy, horizon: int
) -> None:
    traffic = Replay(tuple(sorted(requests)))
    engine = Watched(pipeline, traffic, policy, Window(1.0 + horizon, snapshots=10))
    recorder = engine.run()
    there = len(engine.intake.running) + len(engine.intake.waiting)
    assert recorder.arrived == recorder.finished + recorder.turned_away + there
    assert recorder.arrived == sum(at_s < 1.0 + horizon for at_s, _, _ in requests)
