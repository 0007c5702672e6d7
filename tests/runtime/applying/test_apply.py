"""Another plan is applied while streams run: each gets the tokens of an undisturbed run."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import pytest
from support.applied import FULL_BYTES, HALF_BYTES, plan_on
from support.generating import Tokens, tokens_of
from support.processes import wait_until

from hexplan.errors import InputError
from hexplan.model import Model
from hexplan.plan import Plan
from hexplan_runtime.applying.applier import Applier
from hexplan_runtime.applying.view import Current
from hexplan_runtime.launch.pipeline import Pipeline
from hexplan_runtime.launch.stage_start import Restarts
from hexplan_runtime.request import Request, Sampling

APPLY_S = 200.0
"""A busy machine takes long to read libraries."""
REQUESTS = [
    Request((1, 2, 3 + n), 60, Sampling(temperature=float(n % 2), seed=n)) for n in range(8)
]
FIRST, LAST, OTHER_LAST = ((0, 2), 0), ((2, 4), 1), ((2, 4), 2)
BOTH = [((0, 1), 50), ((0, 2), 50)]
KILLED = 5
"""The device on which no stage comes up."""


@pytest.fixture(scope="module")
def pipeline(llama: Path, llama_model: Model) -> Iterator[Pipeline]:
    """Return a launch of one first stage and two last ones."""
    plan = plan_on(llama_model, [FIRST, LAST, OTHER_LAST], BOTH)
    with Pipeline(plan, llama, restarts=Restarts(spares=2)) as running:
        yield running


@pytest.fixture(scope="module")
def current(pipeline: Pipeline) -> Current:
    return Current(pipeline.plan, pipeline.core)


@pytest.fixture(scope="module")
def applier(pipeline: Pipeline, current: Current) -> Applier:
    return Applier(pipeline, current, print)


@pytest.fixture(scope="module")
def expected(pipeline: Pipeline) -> Tokens:
    """Return what the requests give while nothing happens."""
    return tokens_of(pipeline, REQUESTS)


class Load:
    """Streams that run again and again, until nobody wants more."""

    def __init__(self, pipeline: Pipeline) -> None:
        self.pipeline = pipeline
        self.found: list[Tokens] = []
        self._is_over = False
        self._threads = [Thread(target=self._run) for _ in range(2)]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over = True
        for thread in self._threads:
            thread.join()

    def _run(self) -> None:
        while not self._is_over:
            self.found.append(tokens_of(self.pipeline, REQUESTS))


def apply_amid(applier: Applier, pipeline: Pipeline, plan: Plan, drain_s: float) -> list[Tokens]:
    """Apply a plan under a load, and return what its requests got."""
    with Load(pipeline) as load:
        assert wait_until(lambda: pipeline.core.snapshot().running > 0)
        applier.begin(plan, drain_s)
        assert applier.wait(APPLY_S)
        assert applier.progress.problem is None
    return load.found


def test_other_weights_count_from_the_next_request_on(
    pipeline: Pipeline, applier: Applier, current: Current, expected: Tokens, llama_model: Model
) -> None:
    plan = plan_on(llama_model, [FIRST, LAST, OTHER_LAST], [((0, 1), 100), ((0, 2), 0)])
    growth = applier.begin(plan)
    assert not growth.added | growth.retired | growth.opened | growth.removed
    assert applier.wait(APPLY_S)
    before = current.snapshot().routes
    assert tokens_of(pipeline, REQUESTS) == expected
    taken = [
        now.requests - then.requests
        for now, then in zip(current.snapshot().routes, before, strict=True)
    ]
    assert taken == [len(REQUESTS), 0]


def test_stages_move_while_streams_get_the_tokens_of_an_undisturbed_run(
    pipeline: Pipeline, applier: Applier, current: Current, expected: Tokens, llama_model: Model
) -> None:
    """A last stage ends, another layout starts on free devices, and the first stage goes on."""
    stages = [FIRST, ((0, 1), 3), ((1, 4), 4), ((2, 4), 1)]
    plan = plan_on(llama_model, stages, [((0, 3), 50), ((1, 2), 50)])
    for tokens in apply_amid(applier, pipeline, plan, drain_s=0.2):
        assert tokens == expected
    seen = current.snapshot()
    assert [stage.stage for stage in seen.kv] == ["s0", "s1", "s2", "s3"]
    assert not seen.masked
    assert tokens_of(pipeline, REQUESTS) == expected
    assert all(route.requests for route in current.snapshot().routes)
    names = [child.name for child in pipeline._fleet._supervisor.children]  # noqa: SLF001
    assert not any("stage s2 rank" in name for name in names)


def test_a_plan_for_another_model_or_machine_is_refused_before_anything_is_touched(
    applier: Applier, llama_model: Model
) -> None:
    plan = plan_on(llama_model, [((0, 4), 0)], [((0,), 100)])
    other = plan.model_copy(update={"model": plan.model.model_copy(update={"ffn": 7})})
    with pytest.raises(InputError, match="found a plan for the model"):
        applier.begin(other)
    hosts = tuple(
        host.model_copy(update={"devices": host.devices[:2]}) for host in plan.cluster.hosts
    )
    fewer = plan.model_copy(update={"cluster": plan.cluster.model_copy(update={"hosts": hosts})})
    with pytest.raises(InputError, match="host laptop: found other devices"):
        applier.begin(fewer)


@pytest.mark.slow
def test_a_stage_moves_to_other_layers_of_its_device_when_requests_have_left_it(
    pipeline: Pipeline, applier: Applier, expected: Tokens, llama_model: Model
) -> None:
    """Every route is lost for a while: streams and new requests wait for the new stages."""
    stages = [((0, 3), 0), ((3, 4), 1)]
    plan = plan_on(llama_model, stages, [((0, 1), 100)], used_bytes=FULL_BYTES)
    for tokens in apply_amid(applier, pipeline, plan, drain_s=0.0):
        assert tokens == expected
    assert tokens_of(pipeline, REQUESTS) == expected


def fail_to_apply(applier: Applier, pipeline: Pipeline, plan: Plan) -> list[Tokens]:
    """Apply a plan whose first new stage is killed whenever it starts, under a load."""
    children = pipeline._fleet._supervisor  # noqa: SLF001
    old = set(children.children)
    with Load(pipeline) as load:
        assert wait_until(lambda: pipeline.core.snapshot().running > 0)
        applier.begin(plan, 0.0)

        def is_over() -> bool:
            started = [one for one in children.children if one not in old and one.is_alive]
            for child in started:
                if f"device {KILLED}" in child.name:
                    child.send_signal(signal.SIGKILL)
            return applier.progress.is_over

        assert wait_until(is_over, APPLY_S)
    return load.found


@pytest.mark.slow
@pytest.mark.parametrize("used_bytes", [HALF_BYTES, FULL_BYTES])
def test_a_plan_whose_stage_does_not_start_leaves_the_one_before_serving(
    llama: Path, llama_model: Model, used_bytes: int
) -> None:
    """Also where old stages had to end before it, which then start again."""
    first = plan_on(llama_model, [((0, 2), 0), ((2, 4), 1)], [((0, 1), 100)], used_bytes)
    second = plan_on(llama_model, [((0, 3), 0), ((3, 4), KILLED)], [((0, 1), 100)], used_bytes)
    with Pipeline(first, llama, restarts=Restarts()) as pipeline:
        expected = tokens_of(pipeline, REQUESTS)
        current = Current(first, pipeline.core)
        applier = Applier(pipeline, current)
        assert bool(applier.look(second).first) is (used_bytes == FULL_BYTES)
        for tokens in fail_to_apply(applier, pipeline, second):
            assert tokens == expected
        assert applier.progress.problem is not None
        assert applier.progress.steps[-1] == "the plan before it goes on"
        assert current.plan is first
        assert wait_until(lambda: not current.snapshot().masked, APPLY_S)
        assert tokens_of(pipeline, REQUESTS) == expected
        applier.begin(second, 0.0)
        assert applier.wait(APPLY_S)
        assert applier.progress.problem is None
        assert tokens_of(pipeline, REQUESTS) == expected
