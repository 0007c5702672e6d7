"""Nothing is lost, nothing is made up, and no KV cache overflows, whatever happens."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st
from support.pipelines import SteadySteps, TokenSteps, joined

from hexplan.plan import Phase
from hexplan_solver.flow.network import OUTSIDE
from hexplan_solver.simulate import (
    CHUNKED,
    WHOLE,
    EdgeModel,
    Outage,
    PipelineModel,
    Policy,
    Replay,
    Reservation,
    RouteModel,
    StageModel,
    Window,
    simulate,
)
from hexplan_solver.simulate.simulation import Simulation

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
def pipelines(draw: st.DrawFn) -> PipelineModel:
    """Two stages, then two: layers [0, 3), [0, 2), [2, 5) and [1, 5) of 5, so some enter midway."""
    stages = tuple(draw(stage_models(j, layers)) for j, layers in enumerate(RANGES))
    edges = tuple(draw(edge_models(*ends)) for ends in PAIRS)
    routes = tuple(RouteModel((a, b), draw(st.integers(1, 9))) for a in (0, 1) for b in (2, 3))
    return PipelineModel(5, stages, edges, routes, (draw(RATES),), 10)


@st.composite
def split_pipelines(draw: st.DrawFn) -> PipelineModel:
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


class Watched(Simulation):
    """An simulation that looks at the KV caches after every change, and counts what it emits."""

    def _end(self, request: object) -> None:
        self._look()
        super()._end(request)  # type: ignore[arg-type]
        self._look()

    def _admit(self) -> None:
        super()._admit()
        self._look()

    def _look(self) -> None:
        used = [0] * len(self.stage_states)
        for request in self.admission.running.values():
            assert request.route is not None
            assert request.context_tokens <= request.reserved_tokens + 1
            for hold in request.route.holds:
                used[hold.stage] += hold.layers * request.reserved_tokens
                if request.unmoved:
                    used[hold.stage] += hold.prompt_layers * request.prompt_tokens
        assert used == self.admission.kv.space.reserved
        assert all(u <= c for u, c in zip(used, self.admission.kv.space.capacity, strict=True))


def check_a_whole_run(
    pipeline: PipelineModel,
    requests: list[tuple[float, int, int]],
    policy: Policy,
    failing: list[Outage],
) -> None:
    """Run to the end, and see that every request is finished with all its tokens."""
    traffic = Replay(tuple(sorted(requests)))
    simulation = Watched(pipeline, traffic, policy, Window(None))
    recorder = simulation.run(failing)
    assert recorder.arrived == len(requests)
    assert recorder.finished + recorder.turned_away == len(requests)
    assert not simulation.admission.running and not simulation.admission.waiting
    assert simulation.admission.kv.space.reserved == [0] * len(pipeline.stages)
    assert all(not queue for state in simulation.stage_states for queue in state.queues)
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
    pipeline: PipelineModel,
    requests: list[tuple[float, int, int]],
    policy: Policy,
    failing: list[Outage],
) -> None:
    check_a_whole_run(pipeline, requests, policy, failing)


@settings(max_examples=40, deadline=None)
@given(split_pipelines(), REQUESTS, POLICIES, outages(7))
def test_and_so_where_prefill_and_decode_are_on_different_stages(
    pipeline: PipelineModel,
    requests: list[tuple[float, int, int]],
    policy: Policy,
    failing: list[Outage],
) -> None:
    check_a_whole_run(pipeline, requests, replace(policy, routing="routes"), failing)


@settings(max_examples=40, deadline=None)
@given(st.one_of(pipelines(), split_pipelines()), REQUESTS, POLICIES, st.integers(0, 3))
def test_without_faults_a_cut_off_run_still_adds_up(
    pipeline: PipelineModel, requests: list[tuple[float, int, int]], policy: Policy, horizon: int
) -> None:
    if pipeline.is_split:
        policy = replace(policy, routing="routes")
    traffic = Replay(tuple(sorted(requests)))
    simulation = Watched(pipeline, traffic, policy, Window(1.0 + horizon, snapshots=10))
    recorder = simulation.run()
    there = len(simulation.admission.running) + len(simulation.admission.waiting)
    assert recorder.arrived == recorder.finished + recorder.turned_away + there
    assert recorder.arrived == sum(at_s < 1.0 + horizon for at_s, _, _ in requests)


@settings(max_examples=20, deadline=None)
@given(split_pipelines(), REQUESTS, st.integers(0, 6))
def test_a_split_run_is_the_same_each_time(
    pipeline: PipelineModel, requests: list[tuple[float, int, int]], fails: int
) -> None:
    traffic, failing = Replay(tuple(sorted(requests))), [Outage(fails, 2.0, 3.0)]
    first, second = (
        simulate(pipeline, traffic, CHUNKED, Window(20.0), outages=failing) for _ in range(2)
    )
    assert first.model_dump_json() == second.model_dump_json()
