"""Ways to run the same layers give the same logits."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pytest
import torch
from support.ranks import build_stage
from support.runtime_plans import make_plan
from support.tiny_models import make_option

from hexplan.errors import InputError
from hexplan.model import Model
from hexplan.plan import Plan
from hexplan.reading.model_folder.folder import read_model_folder
from hexplan_runtime.batch import Batch, Row
from hexplan_runtime.model.architecture import RunnerName, read_architecture
from hexplan_runtime.net.team import Team
from hexplan_runtime.net.wire import WireFormat
from hexplan_runtime.request import Sampling
from hexplan_runtime.runner.buckets import Bucket
from hexplan_runtime.runner.choose import RUNNER, asked_runner
from hexplan_runtime.runner.compiled_layers import CompiledLayers, keep_compiled_in
from hexplan_runtime.runner.graph_layers import GraphLayers
from hexplan_runtime.runner.own_layers import OwnLayers
from hexplan_runtime.stage.stage import Stage

LENGTHS = (5, 30, 1, 12, 19)
assert_close = partial(torch.testing.assert_close, rtol=1e-4, atol=1e-4)
needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


def stage_of(folder: Path, plan: Plan, runner: RunnerName, device: str = "cpu") -> Stage:
    architecture = read_architecture(folder, plan.model).model_copy(update={"runner": runner})
    team = Team(WireFormat(1, plan.model.hidden, torch.float32))
    with torch.device(device):
        return build_stage(plan, plan.stages[0], architecture, (folder, team))


def logits_of(stage: Stage, steps: int = 6) -> list[torch.Tensor]:
    """Return the logits of prompts, of decodes in growing batches, and of a mixed step."""
    generator = torch.Generator().manual_seed(2)
    at = dict.fromkeys(range(len(LENGTHS)), 0)
    found = []

    def step(counts: Sequence[tuple[int, int]]) -> None:
        rows = []
        for request, tokens in counts:
            rows.append(Row(request, 0, at[request], tokens, 64, Sampling(), samples=True))
            at[request] += tokens
        ids = torch.randint(0, 256, (sum(tokens for _, tokens in counts),), generator=generator)
        logits = stage.run(Batch(tuple(rows), ids)).logits
        assert logits is not None
        found.append(logits)

    step([(request, length) for request, length in enumerate(LENGTHS)])
    for size in (1, 2, 3, 5, 5, 4)[:steps]:
        step([(request, 1) for request in range(size)])
    step([(0, 1), (1, 4), (2, 1)])
    return found


@pytest.fixture(scope="module", params=["llama", "qwen2-windowed", "qwen3-everything"])
def option(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_option(request.param, tmp_path_factory.mktemp("option") / request.param)


@pytest.fixture(scope="module")
def plan(option: Path) -> Plan:
    return make_plan(read_model_folder(option), [((0, 4), (1,))], kv_tokens=400)


def test_padded_steps_say_what_plain_ones_say(option: Path, plan: Plan) -> None:
    padded = stage_of(option, plan, "graph")
    for found, expected in zip(
        logits_of(padded), logits_of(stage_of(option, plan, "eager")), strict=True
    ):
        assert_close(found, expected)
    assert isinstance(padded._runner, GraphLayers)
    assert padded._runner.buckets == {Bucket(size, 256) for size in (1, 2, 4, 8)}


def test_padding_touches_no_other_request(llama: Path, llama_model: Model) -> None:
    plan = make_plan(llama_model, [((0, 4), (1,))], kv_tokens=400)
    stage = stage_of(llama, plan, "graph")
    logits_of(stage, steps=0)
    arena = stage._cache.arenas[0]
    held = arena.place(4).slots
    before = [x.clone() for x in arena.layer(2)]
    rows = tuple(Row(request, 0, 60, 1, 64, Sampling(), samples=True) for request in (0, 1, 3))
    stage.run(Batch(rows, torch.tensor([1, 2, 3])))
    written = {int(arena.place(row.request).slots[60]) for row in rows}
    kept = [slot for slot in range(arena.tokens) if slot not in written]
    for was, now in zip(before, arena.layer(2), strict=True):
        assert torch.equal(was[:, kept], now[:, kept])
    assert not written & set(held.tolist())


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")  # of torch's own
def test_compiled_steps_say_what_plain_ones_say_and_leave_nothing_behind(
    llama: Path, llama_model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("TORCHINDUCTOR_CACHE_DIR", "TRITON_CACHE_DIR", "TMPDIR"):
        monkeypatch.setenv(name, str(tmp_path))  # so that it is undone
    monkeypatch.setattr(tempfile, "tempdir", None)
    (tmp_path / "launch").mkdir()
    keep_compiled_in(tmp_path / "launch")
    assert Path(tempfile.gettempdir()) == tmp_path / "launch" / "compiled"
    plan = make_plan(llama_model, [((0, 4), (1,))])
    stage = stage_of(llama, plan, "eager")
    plain = logits_of(stage_of(llama, plan, "eager"), steps=3)
    own = stage._runner
    assert isinstance(own, OwnLayers)
    stage._runner = CompiledLayers(own)  # of weights that are too small to be packed
    for found, expected in zip(logits_of(stage, steps=3), plain, strict=True):
        assert_close(found, expected)
    assert list((tmp_path / "launch" / "compiled").rglob("*.so"))
    assert {path.name for path in tmp_path.iterdir()} == {"launch"}


@needs_gpu
@pytest.mark.parametrize("runner", ["eager", "graph"])
def test_a_gpu_says_what_the_processor_says(option: Path, plan: Plan, runner: RunnerName) -> None:
    found = logits_of(stage_of(option, plan, runner, "cuda"))
    for here, there in zip(logits_of(stage_of(option, plan, "eager")), found, strict=True):
        assert there.device.type == "cpu"
        assert_close(there, here, rtol=1e-3, atol=1e-3)


def test_compiled_parts_are_refused_on_a_processor(llama: Path, llama_model: Model) -> None:
    plan = make_plan(llama_model, [((0, 4), (1,))])
    with pytest.raises(InputError, match="needed eager or graph on a CPU"):
        stage_of(llama, plan, "compiled")


def test_the_runner_is_asked_for_by_a_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(RUNNER, raising=False)
    assert asked_runner() is None
    monkeypatch.setenv(RUNNER, "graph")
    assert asked_runner() == "graph"
    monkeypatch.setenv(RUNNER, "fast")
    with pytest.raises(InputError, match="HEXPLAN_RUNNER: found 'fast', needed"):
        asked_runner()
