"""Wrong prompts are refused before any rank starts, as ranks may read weights for minutes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from support.changed_folders import SINGLE, Change, Tensors, changed
from support.runtime_plans import make_plan

from hexplan.errors import InputError
from hexplan.model import Model
from hexplan.plan import Plan
from hexplan.reading.model_folder.folder import read_model_folder
from hexplan_runtime.launch.pipeline import Pipeline
from hexplan_runtime.launch.startup import RankStats
from hexplan_runtime.launching import continue_prompts
from hexplan_runtime.request import Request
from hexplan_runtime.text import GenerationSettings, TextPiece


class Silent:
    """Hears nothing, as no launch begins."""

    def ready(self, stats: Sequence[RankStats], elapsed_s: float) -> None:
        raise AssertionError

    def piece(self, piece: TextPiece) -> None:
        raise AssertionError

    def done(self, num_tokens: int, elapsed_s: float) -> None:
        raise AssertionError


def without_norm(weights: Tensors) -> Tensors:
    """Leave out what each rank of the last stage needs, so that no launch could succeed."""
    return {name: weight for name, weight in weights.items() if name != "model.norm.weight"}


def with_far_token(folder: Path) -> None:
    """Give the tokenizer a token that the model has no row for."""
    file = folder / "tokenizer.json"
    values = json.loads(file.read_text())
    vocab = json.loads((folder / "config.json").read_text())["vocab_size"]
    for index in range(len(values["model"]["vocab"]), vocab + 1):
        flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
        added = {"id": index, "content": f"<far{index}>", "special": True, **flags}
        values["added_tokens"].append(added)
    file.write_text(json.dumps(values))


@pytest.fixture
def broken(austen: Path, tmp_path: Path) -> Path:
    change = Change(weights=without_norm, files=with_far_token)
    return changed(austen, tmp_path / "broken", change)


@pytest.fixture
def plan(broken: Path) -> Plan:
    return make_plan(read_model_folder(broken, "float32"), [((0, 3), (1,)), ((3, 6), (1,))])


@pytest.mark.slow
def test_a_launch_of_this_folder_fails_in_its_ranks(broken: Path, plan: Plan) -> None:
    """So what the tests below see cannot come after the start of the ranks."""
    with pytest.raises(InputError, match=r"no file has the weight model\.norm\.weight"):
        continue_prompts(plan, ["It is"], GenerationSettings(), Silent())


def test_a_prompt_that_is_too_long_is_refused_before(plan: Plan) -> None:
    with pytest.raises(InputError, match=r"request 1: 5\d\d prompt \+ 64 new = .* made for 512"):
        continue_prompts(plan, ["It is", "very " * 500], GenerationSettings(), Silent())


def test_too_many_new_tokens_are_refused_before(plan: Plan) -> None:
    with pytest.raises(InputError, match=r"request 0: \d prompt \+ 512 new = .* made for 512"):
        continue_prompts(plan, ["It is"], GenerationSettings(max_tokens=512), Silent())


def test_a_token_outside_the_vocabulary_is_refused_before(plan: Plan) -> None:
    vocab = plan.model.vocab
    with pytest.raises(InputError, match=rf"prompt token {vocab}, must be >= 0 and < {vocab}"):
        continue_prompts(plan, [f"It is <far{vocab}>"], GenerationSettings(), Silent())


def test_a_pipeline_checks_requests_before_it_runs(broken: Path, plan: Plan) -> None:
    pipeline = Pipeline(plan, broken)
    pipeline.check([Request((1, 2), 3)])
    with pytest.raises(InputError, match="request 1: prompt token -1"):
        pipeline.check([Request((1, 2), 3), Request((-1,), 3)])
    assert pipeline.pids == ()


def test_a_weight_file_that_is_cut_off_is_refused_before(
    austen: Path, austen_model: Model, tmp_path: Path
) -> None:
    def cut(folder: Path) -> None:
        content = (folder / SINGLE).read_bytes()
        (folder / SINGLE).write_bytes(content[: len(content) // 2])

    folder = changed(austen, tmp_path / "cut", Change(files=cut))
    plan = make_plan(austen_model.model_copy(update={"config_sha256": None}), [((0, 6), (1,))])
    with pytest.raises(InputError, match=r"model\.safetensors: .*") as caught:
        Pipeline(plan, folder)
    assert caught.value.hint == "the download may be incomplete"
