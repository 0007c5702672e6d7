"""Families that run through the layers of transformers, against the whole model in one process."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest
import torch
from make_tiny_checkpoints import OTHER_FAMILIES, make_tiny
from support.ranks import Runner, build_stage, run_in_pieces, run_route, running_stages
from support.reference import (
    all_logits,
    clear_continuations,
    continue_greedily,
    load_reference,
)
from support.runtime_plans import make_plan
from transformers import PreTrainedModel

from hexplan.cost.weights import ShardSizes, weights_bytes
from hexplan.errors import InputError
from hexplan.plan import Plan
from hexplan.reading.model_folder.folder import read_model_folder
from hexplan_runtime.batch import Batch, Row
from hexplan_runtime.launch.pipeline import Pipeline
from hexplan_runtime.launch.supported import require_supported
from hexplan_runtime.model.architecture import read_architecture
from hexplan_runtime.model.weights import WeightsReader
from hexplan_runtime.net.team import Team
from hexplan_runtime.net.wire import WireFormat
from hexplan_runtime.request import Request, Sampling
from hexplan_runtime.runner import family_weights

TEXT = torch.randint(0, 256, (40,), generator=torch.Generator().manual_seed(5)).tolist()
PIECES = [7, 9, 1, 1, 22]
STAGES = [((0, 1), (1,)), ((0, 3), (1,)), ((1, 4), (1,))]
ROUTES = [((0, 2), 50), ((1, 2), 50)]
"""The second route enters the last stage inside its range."""
assert_close = partial(torch.testing.assert_close, rtol=1e-4, atol=1e-4)


@dataclass(frozen=True, slots=True)
class Running:
    plan: Plan
    folder: Path
    runners: Sequence[Runner]
    reference: PreTrainedModel


@pytest.fixture(scope="module", params=list(OTHER_FAMILIES))
def running(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Running]:
    folder = make_tiny(request.param, tmp_path_factory.mktemp("family") / request.param)
    plan = make_plan(read_model_folder(folder), STAGES, ROUTES)
    with running_stages(plan, folder) as runners:
        yield Running(plan, folder, runners, load_reference(folder))


def test_stages_say_in_pieces_what_transformers_says_at_once(running: Running) -> None:
    expected = all_logits(running.reference, TEXT)
    found = run_in_pieces(running.runners, running.plan, TEXT, PIECES)
    assert_close(found, expected[torch.tensor(PIECES).cumsum(0) - 1])
    assert found.std(dim=-1).min() > 0.1  # not all logits alike


def test_requests_that_enter_inside_a_stage_run_beside_others(running: Running) -> None:
    texts = [TEXT[:9], TEXT[9:10], TEXT[10:31]]
    rows = [
        Row(index + 10, index % 2, 0, len(text), 64, Sampling(), samples=True)
        for index, text in enumerate(texts)
    ]
    early = Batch((rows[0], rows[2]), torch.tensor(texts[0] + texts[2]))
    late = Batch((rows[1],), torch.tensor(texts[1]))
    first = running.runners[0](early).hidden
    second = running.runners[1](late).hidden
    both = Batch((*early.rows, *late.rows), hidden=torch.cat([first, second]))
    logits = running.runners[2](both).logits
    assert logits is not None
    for found, text in zip(logits, [texts[0], texts[2], texts[1]], strict=True):
        assert_close(found, all_logits(running.reference, text)[-1])


def test_tokens_are_those_that_transformers_takes(running: Running) -> None:
    expected = continue_greedily(running.reference, tuple(TEXT), 24)
    tokens: list[int] = []
    new = TEXT
    while len(tokens) < 24:
        position = len(TEXT) + len(tokens) - 1 if tokens else 0
        row = Row(20, 0, position, len(new), 64, Sampling(), samples=True)
        logits = run_route(running.runners, running.plan, Batch((row,), torch.tensor(new))).logits
        assert logits is not None
        tokens.append(int(logits[0].argmax()))
        new = tokens[-1:]
    assert tuple(tokens) == expected.token_ids


def test_a_stage_holds_the_bytes_of_its_layers_and_no_others(running: Running) -> None:
    """A last norm without weights, or with a bias, counts as one vector in plans."""
    model, plan = running.plan.model, running.plan
    for planned in plan.stages:
        with WeightsReader(running.folder, torch.float32) as weights:
            part = family_weights.Part(
                planned.layers, planned.layers[0] == 0, planned.layers[1] == 4, False
            )
            weights.lazy(part.has)
        whole = ShardSizes(model.kv_heads, model.ffn, model.vocab)
        if not model.tied_embeddings:
            expected = weights_bytes(model, whole, planned.layers)
            vector = model.dtype_bytes * model.hidden
            slack = vector if planned.layers[1] == model.layers else 0
            assert abs(weights.bytes_read - expected) <= slack
    counted = WireFormat(1, model.hidden, torch.float32)
    stage = plan.stages[0]
    built = build_stage(
        plan, stage, read_architecture(running.folder, model), (running.folder, Team(counted))
    )
    assert not built.has_head


def test_a_weight_that_the_files_lack_is_named(tmp_path: Path) -> None:
    from support.changed_folders import Change, changed

    folder = make_tiny("granite", tmp_path / "granite")
    lost = "model.layers.2.self_attn.o_proj.weight"
    change = Change(weights=lambda all_: {k: v for k, v in all_.items() if k != lost})
    broken = changed(folder, tmp_path / "broken", change)
    plan = make_plan(read_model_folder(broken), [((0, 4), (1,))])
    with pytest.raises(InputError, match=lost), running_stages(plan, broken):
        pass


def test_teams_of_several_devices_are_refused_for_such_families(tmp_path: Path) -> None:
    folder = make_tiny("olmo2", tmp_path / "olmo2")
    plan = make_plan(read_model_folder(folder), [((0, 2), (1,)), ((2, 4), (2, 1))])
    with pytest.raises(InputError, match="stage s1: found 2 devices for a olmo2 model") as caught:
        require_supported(plan)
    assert caught.value.hint is not None


@pytest.mark.slow
def test_a_launched_family_gives_the_tokens_of_transformers(tmp_path: Path) -> None:
    folder = make_tiny("gemma2", tmp_path / "gemma2")
    plan = make_plan(read_model_folder(folder), [((0, 2), (1,)), ((2, 4), (1,))])
    expected = clear_continuations(load_reference(folder), 20, 12)
    found: dict[int, list[int]] = {}
    with Pipeline(plan) as pipeline:
        for event in pipeline.generate([Request(c.prompt_ids, 12) for c in expected]):
            found.setdefault(event.request_index, []).append(event.token_id)
    assert [tuple(found[index]) for index in range(20)] == [c.token_ids for c in expected]
