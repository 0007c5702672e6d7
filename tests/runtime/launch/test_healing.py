"""Stages that are lost on this machine: requests go on elsewhere, and the stage starts again."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import pytest
from support.generating import Tokens, tokens_of
from support.hanging import hanging
from support.processes import PATIENCE_S, wait_until
from support.runtime_plans import make_plan

from hexplan.errors import LaunchError
from hexplan.model import Model
from hexplan_runtime.engine.outcomes import NoRoute
from hexplan_runtime.engine.snapshot import EngineSnapshot
from hexplan_runtime.launch.pipeline import Pipeline
from hexplan_runtime.launch.stage_start import Restarts
from hexplan_runtime.request import Request, Sampling

TWO_LASTS = [((0, 2), (1,)), ((2, 4), (1,)), ((2, 4), (1,))]
"""A first stage that two routes share, and a last one for each."""
REQUESTS = [
    Request((1, 2, 3 + n), 60, Sampling(temperature=float(n % 2), seed=n)) for n in range(8)
]


@pytest.fixture(scope="module")
def notes() -> list[str]:
    return []


@pytest.fixture(scope="module")
def pipeline(llama: Path, llama_model: Model, notes: list[str]) -> Iterator[Pipeline]:
    plan = make_plan(llama_model, TWO_LASTS, routes=[((0, 1), 50), ((0, 2), 50)])
    restarts = Restarts(log=notes.append, spares=1)
    with Pipeline(plan, llama, restarts=restarts) as running:
        yield running


@pytest.fixture(scope="module")
def expected(pipeline: Pipeline) -> Tokens:
    """Return what the requests give while nothing happens."""
    return tokens_of(pipeline, REQUESTS)


def pid_of(pipeline: Pipeline, stage: str) -> int:
    """Return the rank of a stage that runs now."""
    children = pipeline._fleet._supervisor.children  # noqa: SLF001
    return next(one.pid for one in reversed(children) if f"stage {stage} " in one.name)


def is_whole(seen: EngineSnapshot, losses: int) -> bool:
    """Say whether so many stages were lost, and all routes are open again."""
    return sum(seen.generations) >= losses and not seen.masked


def wait_until_whole(pipeline: Pipeline, losses: int) -> bool:
    tries = range(8)  # a busy machine takes long to read libraries
    return any(wait_until(lambda: is_whole(pipeline.core.snapshot(), losses)) for _ in tries)


def harm_amid(pipeline: Pipeline, stage: str, number: signal.Signals) -> Tokens:
    """Send a signal to a stage while requests run, and return the tokens that they get."""
    found: list[list[int]] = [[] for _ in REQUESTS]
    for count, event in enumerate(pipeline.generate(REQUESTS)):
        if count == len(REQUESTS) * 4:
            os.kill(pid_of(pipeline, stage), number)
        found[event.request_index].append(event.token_id)
    return [tuple(tokens) for tokens in found]


def test_requests_of_a_killed_stage_go_on_elsewhere_with_the_same_tokens(
    pipeline: Pipeline, expected: Tokens, notes: list[str]
) -> None:
    before = pipeline.core.snapshot()
    assert harm_amid(pipeline, "s1", signal.SIGKILL) == expected
    seen = pipeline.core.snapshot()
    assert seen.replays > before.replays
    assert "stage s1 rank 0 (laptop, device 1) was ended by SIGKILL" in notes[0]
    assert wait_until_whole(pipeline, sum(before.generations) + 1)
    assert tokens_of(pipeline, [Request((1, 2, 3), 60, route=0)]) == expected[:1]


def test_requests_wait_until_the_only_first_stage_is_back(
    pipeline: Pipeline, expected: Tokens
) -> None:
    """Both routes are lost; new requests are refused meanwhile."""
    before = pipeline.core.snapshot()
    refused: list[NoRoute] = []

    def ask_again() -> None:
        assert wait_until(lambda: len(pipeline.core.snapshot().masked) == 2)
        with pytest.raises(NoRoute, match="no route is left for now: stage s0") as error:
            pipeline.core.stream(Request((1, 2), 2))
        refused.append(error.value)

    asking = Thread(target=ask_again)
    asking.start()
    assert harm_amid(pipeline, "s0", signal.SIGKILL) == expected
    asking.join(PATIENCE_S)
    assert refused
    assert wait_until_whole(pipeline, sum(before.generations) + 1)
    # A probe may still be on its way.
    assert wait_until(lambda: not any(stage.held_tokens for stage in pipeline.core.snapshot().kv))


@pytest.mark.slow
def test_a_stopped_rank_is_noticed_and_another_one_starts(
    pipeline: Pipeline, expected: Tokens, notes: list[str]
) -> None:
    before = pipeline.core.snapshot()
    assert harm_amid(pipeline, "s2", signal.SIGSTOP) == expected
    assert wait_until_whole(pipeline, sum(before.generations) + 1)
    assert any("stage s2 rank 0 (laptop, device 2) is stopped" in note for note in notes)


@pytest.mark.slow
def test_a_leader_that_hangs_ends_and_another_one_starts(llama: Path, llama_model: Model) -> None:
    """Its main thread alone stands still, which no signal does: the process looks alive."""
    plan = make_plan(llama_model, TWO_LASTS, routes=[((0, 1), 50), ((0, 2), 50)])
    notes: list[str] = []
    restarts = Restarts(step_limit_s=8.0, log=notes.append)
    with Pipeline(plan, llama, restarts=restarts) as pipeline:
        expected = tokens_of(pipeline, REQUESTS)
        with hanging(pid_of(pipeline, "s1")):
            assert tokens_of(pipeline, REQUESTS) == expected
        assert any("rank.py" in note and "in serve" in note for note in notes)
        assert any("stage s1 rank 0 (laptop, device 1) ended with exit code 1" in n for n in notes)
        assert wait_until_whole(pipeline, 1)


@pytest.mark.slow
def test_a_stage_of_two_ranks_starts_again_as_a_whole(llama: Path, llama_model: Model) -> None:
    plan = make_plan(llama_model, [((0, 4), (2, 1)), ((0, 4), (1,))], [((0,), 50), ((1,), 50)])
    with Pipeline(plan, llama, restarts=Restarts()) as pipeline:
        expected = tokens_of(pipeline, REQUESTS)
        assert harm_amid(pipeline, "s0", signal.SIGKILL) == expected
        assert wait_until_whole(pipeline, 1)
        assert tokens_of(pipeline, REQUESTS) == expected


@pytest.mark.slow
def test_a_stage_that_cannot_start_again_ends_the_launch_if_no_route_is_left(
    llama: Path, llama_model: Model, tmp_path: Path
) -> None:
    for name in ("config.json", "model.safetensors"):
        (tmp_path / name).write_bytes((llama / name).read_bytes())
    plan = make_plan(llama_model, [((0, 4), (1,))])
    with Pipeline(plan, tmp_path, restarts=Restarts(most=2)) as pipeline:
        tokens = pipeline.generate(REQUESTS)
        next(tokens)
        (tmp_path / "model.safetensors").write_bytes(b"nothing of use")
        os.kill(pipeline.pids[0], signal.SIGKILL)
        with pytest.raises(LaunchError, match="stage s0 is given up: stage s0 rank 0"):
            list(tokens)
