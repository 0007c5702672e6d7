"""What goes wrong: ranks that end, launchers that end, models that do not fit."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest
from safetensors.torch import load_file, save_file
from support.processes import are_gone, processes_with, wait_until
from support.runtime_plans import StageSpec, make_plan
from support.slow import slow

from hexplan.errors import InputError, LaunchError
from hexplan.model import Model
from hexplan.plan import Plan
from hexplan_runtime.engine.router import Router
from hexplan_runtime.launch.pipeline import Pipeline
from hexplan_runtime.model.architecture import read_architecture
from hexplan_runtime.request import Request
from hexplan_runtime.stage.messages import Assignment

SHAPE: list[StageSpec] = [((0, 2), (2, 1)), ((2, 4), (1,))]
SCRIPT = Path(__file__).parents[2] / "support" / "endless_launch.py"
REQUESTS = [Request((1, 2, 3), 200) for _ in range(4)]


@pytest.fixture
def plan(llama_model: Model) -> Plan:
    return make_plan(llama_model, SHAPE)


@pytest.mark.parametrize(
    ("victim", "name"),
    [
        (0, r"stage s0 rank 0 \(laptop, device 0\)"),
        pytest.param(1, r"stage s0 rank 1 \(laptop, device 1\)", marks=pytest.mark.slow),
        (2, r"stage s1 rank 0 \(laptop, device 2\)"),
    ],
)
def test_a_killed_rank_is_named_and_ends_the_launch(
    plan: Plan, llama: Path, victim: int, name: str
) -> None:
    with Pipeline(plan, llama) as pipeline:
        pids = pipeline.pids
        tokens = pipeline.generate(REQUESTS)
        next(tokens)
        os.kill(pids[victim], signal.SIGKILL)
        with pytest.raises(LaunchError, match=f"{name} was ended by SIGKILL"):
            list(tokens)
        with pytest.raises(LaunchError, match=name):
            list(pipeline.generate(REQUESTS))
    assert are_gone(pids)


def test_a_rank_that_ended_while_idle_is_noticed(plan: Plan, llama: Path) -> None:
    with Pipeline(plan, llama) as pipeline:
        os.kill(pipeline.pids[1], signal.SIGTERM)
        assert are_gone(pipeline.pids[1:2])
        with pytest.raises(LaunchError, match="stage s0 rank 1 .* was ended by SIGTERM"):
            list(pipeline.generate(REQUESTS))


@pytest.mark.slow
def test_a_stopped_rank_does_not_outlive_its_launcher(plan: Plan, llama: Path) -> None:
    with Pipeline(plan, llama) as pipeline:
        pids = pipeline.pids
        os.kill(pids[0], signal.SIGSTOP)
    assert are_gone(pids)


def test_a_missing_weight_is_refused_by_the_rank_that_needs_it(
    plan: Plan, llama: Path, tmp_path: Path
) -> None:
    weights = load_file(llama / "model.safetensors")
    del weights["model.layers.3.mlp.up_proj.weight"]
    save_file(weights, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_bytes((llama / "config.json").read_bytes())
    with (
        pytest.raises(InputError, match=r"stage s1 rank 0 .*layers\.3\.mlp\.up_proj"),
        Pipeline(plan, tmp_path),
    ):
        pass


def test_a_start_that_takes_too_long_names_who_is_missing(plan: Plan, llama: Path) -> None:
    with (
        pytest.raises(LaunchError, match=r"not ready after 0.2 s: stage s0 rank 0 .*no weights"),
        Pipeline(plan, llama, start_timeout_s=0.2),
    ):
        pass


def test_an_error_in_a_rank_comes_with_its_last_words(llama: Path, llama_model: Model) -> None:
    """A stage that has less room than the router believes is a bug, and must show as one."""
    plan = make_plan(llama_model, SHAPE, kv_tokens=300)
    with Pipeline(plan, llama) as pipeline:
        pipeline.core._engine._room.router = Router(make_plan(llama_model, SHAPE, kv_tokens=600))  # noqa: SLF001
        with pytest.raises(LaunchError, match=r"stage s0 rank \d .* exit code 1") as error:
            list(pipeline.generate(REQUESTS[:2]))
    assert error.value.hint is not None
    assert "tokens asked" in error.value.hint


class Launched:
    """A launcher in a process of its own, whose ranks carry a mark in their environment."""

    def __init__(self, plan: Plan, folder: Path, tmp_path: Path) -> None:
        plan_file = tmp_path / "plan.json"
        plan_file.write_text(plan.model_dump_json(by_alias=True))
        self.mark = f"TMPDIR={tmp_path}"
        self._words = tmp_path / "words"
        with self._words.open("w") as words:
            self.process = subprocess.Popen(
                [sys.executable, str(SCRIPT), str(plan_file), str(folder)],
                stdout=subprocess.PIPE,
                stderr=words,
                env={**os.environ, "TMPDIR": str(tmp_path)},
            )

    def await_word(self, word: bytes) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.strip() == word:
                return
        said = self._words.read_text()
        raise AssertionError(f"the launcher ended before it said {word!r}: {said}")

    def ranks(self) -> set[int]:
        return processes_with(self.mark) - {self.process.pid}

    def end(self, number: signal.Signals) -> bool:
        """Send a signal, and say whether the launcher and all its ranks are gone after it."""
        self.process.send_signal(number)
        self.process.wait(timeout=60)
        return wait_until(lambda: not self.ranks())


@pytest.fixture
def launched(plan: Plan, llama: Path, tmp_path: Path) -> Iterator[Launched]:
    launch = Launched(plan, llama, tmp_path)
    yield launch
    launch.process.kill()
    launch.process.wait()
    assert launch.process.stdout is not None
    launch.process.stdout.close()


ENDINGS = [signal.SIGKILL, signal.SIGINT, signal.SIGTERM]


def endings(fast: signal.Signals) -> list[object]:
    """Return the signals, of which only one is tried where time matters: each is a launch."""
    return [one if one == fast else slow(one) for one in ENDINGS]


@pytest.mark.parametrize("number", endings(fast=signal.SIGKILL))
def test_no_rank_outlives_a_launcher_that_ends_while_generating(
    launched: Launched, number: signal.Signals
) -> None:
    launched.await_word(b"generating")
    assert len(launched.ranks()) == 3
    assert launched.end(number)


@pytest.mark.parametrize("number", endings(fast=signal.SIGINT))
def test_no_rank_outlives_a_launcher_that_ends_during_start_up(
    launched: Launched, number: signal.Signals
) -> None:
    launched.await_word(b"starting")
    assert wait_until(lambda: bool(launched.ranks()))
    assert launched.end(number)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(30))
def test_no_rank_outlives_a_launcher_that_ends_at_any_moment(launched: Launched, seed: int) -> None:
    random = Random(seed)
    launched.await_word(b"starting")
    time.sleep(random.uniform(0.0, 6.0))
    assert launched.end(random.choice(ENDINGS))


def test_a_stopped_rank_does_not_outlive_a_killed_launcher(launched: Launched) -> None:
    """It cannot see the end of its stdin, so the kernel must end it."""
    launched.await_word(b"generating")
    os.kill(max(launched.ranks()), signal.SIGSTOP)
    assert launched.end(signal.SIGKILL)


def orphan(assignment: str) -> int:
    """Return the exit code of a rank whose launcher says this and is gone."""
    rank = subprocess.run(
        [sys.executable, "-P", "-m", "hexplan_runtime.stage.worker"],
        input=assignment.encode(),
        capture_output=True,
        timeout=60,
        check=False,
    )
    return rank.returncode


def test_a_rank_without_a_launcher_ends_at_once(plan: Plan, llama: Path) -> None:
    assignment = Assignment(
        plan=plan,
        architecture=read_architecture(llama, plan.model),
        model_folder=str(llama),
        stage=0,
        rank=0,
        launcher_pid=1,  # whose child the rank is not
        meeting_folder=str(llama),
        nonce="0" * 32,
    )
    assert orphan("") == 0
    assert orphan(assignment.model_dump_json(by_alias=True) + "\n") == 0
