"""Stages whose ranks share out tokens in groups, tensor parallel within each (SP times TP)."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from random import Random

import pytest
import torch
from support.ranks import run_in_pieces, running_stages
from support.reference import all_logits, load_reference
from support.runtime_plans import StageSpec, make_plan, sharing
from support.sent_bytes import formula_bytes, sent_bytes
from support.slow import slow
from support.tiny_models import FOUR_HEADS, OPTIONS, make_option
from torch import Tensor

from hexplan.cost import StageShape
from hexplan.cost.weights import layer_bytes
from hexplan.model import Model
from hexplan.plan import Plan
from hexplan.reading.model_folder.folder import read_model_folder
from hexplan_runtime.model.architecture import read_architecture
from hexplan_runtime.model.layers import DecoderLayer
from hexplan_runtime.model.linear import Rank
from hexplan_runtime.model.packed import Linear
from hexplan_runtime.model.weights import WeightsReader
from hexplan_runtime.net.team import Parts, Team
from hexplan_runtime.net.wire import WireFormat

TEXT = torch.randint(0, 256, (60,), generator=torch.Generator().manual_seed(5)).tolist()
SWITCH_AT = 4
SHAPE: list[StageSpec] = [((0, 1), (1,)), ((1, 4), (1, 1, 1, 1))]
FAST = ("llama-biases", "qwen3-everything")
assert_close = partial(torch.testing.assert_close, rtol=1e-4, atol=1e-4)


def pieces(seed: int) -> list[int]:
    """Return steps of 1 to 9 tokens: of fewer than there are groups, odd ones, and large ones."""
    random, sizes = Random(seed), [7, 1, 2]
    while (left := len(TEXT) - sum(sizes)) > 0:
        sizes.append(min(left, random.randint(1, 9)))
    return sizes


@pytest.fixture(
    scope="module", params=[*FAST, *(slow(name) for name in OPTIONS if name not in FAST)]
)
def option(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("option") / request.param
    return make_option(request.param, folder, FOUR_HEADS)


@pytest.fixture(scope="module")
def four(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_option("llama", tmp_path_factory.mktemp("four") / "llama", FOUR_HEADS)


@pytest.fixture(scope="module")
def four_model(four: Path) -> Model:
    return read_model_folder(four)


@pytest.mark.parametrize("shift_tokens", [None, SWITCH_AT], ids=["sp", "shift"])
def test_every_family_says_what_transformers_says_while_modes_switch(
    option: Path, shift_tokens: int | None
) -> None:
    plan = sharing(make_plan(read_model_folder(option), SHAPE), shift_tokens, sp_degree=2)
    expected, steps = all_logits(load_reference(option), TEXT), pieces(3)
    assert 2 * sum(size > SWITCH_AT for size in steps) in range(len(steps) // 2, 2 * len(steps))
    with running_stages(plan, option) as runners:
        found = run_in_pieces(runners, plan, TEXT, steps)
    assert_close(found, expected[torch.tensor(steps).cumsum(0) - 1])


@pytest.mark.slow
@pytest.mark.parametrize("sp_degree", [2, 3])
@pytest.mark.parametrize("shift_tokens", [None, SWITCH_AT], ids=["sp", "shift"])
def test_groups_of_three_and_three_groups_say_it_too(
    austen: Path, austen_model: Model, sp_degree: int, shift_tokens: int | None
) -> None:
    plan = make_plan(austen_model, [((0, 6), (1,) * 6)])
    expected, steps = all_logits(load_reference(austen), TEXT), pieces(4)
    with running_stages(sharing(plan, shift_tokens, sp_degree), austen) as runners:
        found = run_in_pieces(runners, plan, TEXT, steps)
    assert_close(found, expected[torch.tensor(steps).cumsum(0) - 1], rtol=1e-3, atol=1e-3)


def test_shards_in_another_order_than_the_heads_of_the_cache_go_wrong_when_steps_switch(
    four: Path, four_model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In runs of one mode alone nothing shows: ranks sum up the same parts, or use all of them."""

    def turned(rank: Rank) -> int:
        return len(rank.held) - 1 - rank.team.exchange_group.rank if rank.peers else 0

    expected, steps = all_logits(load_reference(four), TEXT), pieces(3)
    monkeypatch.setattr(Rank, "own_index", property(turned))
    off = {}
    for shift_tokens in (None, SWITCH_AT, len(TEXT)):
        plan = sharing(make_plan(four_model, SHAPE), shift_tokens, sp_degree=2)
        with running_stages(plan, four) as runners:
            found = run_in_pieces(runners, plan, TEXT, steps)
        wanted = expected[torch.tensor(steps).cumsum(0) - 1]
        off[shift_tokens] = float((found - wanted).abs().max())
    assert off[SWITCH_AT] > 0.1
    assert off[None] < 1e-4
    assert off[len(TEXT)] < 1e-4


def layer_of(plan: Plan, folder: Path, rank: int) -> tuple[DecoderLayer, int]:
    """Return one layer of a rank of two groups, and the bytes of its weights."""
    stage, model = plan.stages[0], plan.model
    wire = WireFormat(1, model.hidden, torch.float32)
    team = Team(wire, rank, parts=Parts(Team(wire, rank % 2), Team(wire, rank // 2)))
    peers = stage.shards[rank // 2 * 2 :][:2]
    with WeightsReader(folder, torch.float32) as weights:
        facts = model, read_architecture(folder, model), stage.shards[rank], team, weights
        layer = DecoderLayer(Rank(*facts, peers=peers, shifts=True), 0)
    return layer, weights.weights_bytes


def weights_of(layer: DecoderLayer) -> list[tuple[Tensor, Tensor]]:
    """Return each projection's weight: of the rank's shard, and all that it holds."""
    attention, network = layer._attention, layer._ffn
    found = []
    for one in (attention._qkv, attention.output, network._gate_up, network.down):
        assert not isinstance(one._whole, Linear)
        assert one._whole._whole is not None
        found.append((one._own._weight, one._whole._whole._weight))
    return found


@pytest.mark.parametrize("rank", [0, 1, 2, 3])
def test_a_shard_is_a_view_of_the_only_copy_of_what_a_rank_holds(
    four: Path, four_model: Model, rank: int
) -> None:
    plan = sharing(make_plan(four_model, [((0, 4), (1, 1, 1, 1))]), 8, sp_degree=2)
    layer, held_bytes = layer_of(plan, four, rank)
    for own, held in weights_of(layer):
        assert own.untyped_storage().data_ptr() == held.untyped_storage().data_ptr()
        assert own.numel() < 0.6 * held.numel()
    sizes = StageShape.of(plan, plan.stages[0]).held_sizes[rank]
    assert sizes.kv_heads == 2
    assert held_bytes == layer_bytes(four_model, sizes)
    norms = 2 * four_model.hidden * 4
    assert held_bytes == norms + sum(held.nbytes for _, held in weights_of(layer))


@pytest.mark.parametrize("tokens", [2, 4, 6, 8, 36])
def test_collectives_of_two_groups_of_two_ranks_send_the_bytes_of_the_formula(
    tokens: int, four: Path, four_model: Model
) -> None:
    """Each layer exchanges twice and sums up twice, among two ranks; the stage gathers once."""
    plan = sharing(make_plan(four_model, [((0, 1), (1,)), ((1, 3), (1, 1, 1, 1))]), None, 2)
    expected = formula_bytes(plan, tokens)
    assert sent_bytes(plan, four, tokens) == [expected] * 4
    rows, width = tokens // 2, 8
    heads = rows * (8 + 2 * 4) // 4 * width + rows * 8 // 4 * width
    assert expected == 4 * (2 * (heads + 2 * rows * 64) + rows * 64)


@pytest.mark.parametrize("tokens", [1, 3, 9, 11])
def test_groups_send_no_padding(tokens: int, four: Path, four_model: Model) -> None:
    """The formula pads each group to the same number of tokens, and the runtime does not."""
    plan = sharing(make_plan(four_model, [((0, 1), (1,)), ((1, 3), (1, 1, 1, 1))]), None, 2)
    sent = sent_bytes(plan, four, tokens)
    assert sum(sent) == 4 * formula_bytes(plan, tokens) * tokens / (tokens + 1)
