"""Stages whose ranks share out tokens, against the whole model in one process, and by count."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from support.ranks import run_in_pieces, running_stages
from support.reference import all_logits, load_reference
from support.runtime_plans import StageSpec, make_plan, sharing
from support.sent_bytes import formula_bytes, sent_bytes
from support.tiny_models import OPTIONS, make_option
from torch import Tensor

from hexplan.cost.weights import ShardSizes, layer_bytes
from hexplan.model import Model
from hexplan.plan import Plan
from hexplan.reading.model_folder.folder import read_model_folder
from hexplan_runtime.model.architecture import read_architecture
from hexplan_runtime.model.layers import DecoderLayer
from hexplan_runtime.model.linear import Rank
from hexplan_runtime.model.packed import Linear
from hexplan_runtime.model.portions import Portions
from hexplan_runtime.model.weights import WeightsReader
from hexplan_runtime.net.team import Team
from hexplan_runtime.net.wire import WireFormat

TEXT = torch.randint(0, 256, (40,), generator=torch.Generator().manual_seed(5)).tolist()
PIECES = [7, 9, 1, 1, 2, 20]
"""A team of three: each has tokens, some have one more, or two have none."""
SHAPE: list[StageSpec] = [((0, 1), (1,)), ((1, 4), (1, 1, 1))]
FAST = ("llama-biases", "mistral", "qwen2", "qwen3-everything")
SLOW = tuple(name for name in OPTIONS if name not in FAST)
assert_close = partial(torch.testing.assert_close, rtol=1e-4, atol=1e-4)


@pytest.fixture(
    scope="module", params=[*FAST, *(pytest.param(name, marks=pytest.mark.slow) for name in SLOW)]
)
def option(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_option(request.param, tmp_path_factory.mktemp("option") / request.param)


@pytest.mark.parametrize("shift_tokens", [None, 1, 8, 40], ids=["sp", "to 1", "to 8", "tp"])
def test_every_family_says_what_transformers_says(option: Path, shift_tokens: int | None) -> None:
    plan = sharing(make_plan(read_model_folder(option), SHAPE), shift_tokens)
    expected = all_logits(load_reference(option), TEXT)
    ends = torch.tensor(PIECES).cumsum(0) - 1
    with running_stages(plan, option) as runners:
        assert_close(run_in_pieces(runners, plan, TEXT, PIECES), expected[ends])


def test_shards_in_another_order_than_the_heads_of_the_cache_go_wrong_when_steps_switch(
    llama: Path, llama_model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While all steps are tensor parallel nothing shows, as ranks sum up the same parts."""
    turned = property(lambda rank: len(rank.held) - 1 - rank.team.rank if rank.peers else 0)
    expected = all_logits(load_reference(llama), TEXT)
    ends = torch.tensor(PIECES).cumsum(0) - 1
    monkeypatch.setattr(Rank, "own_index", turned)
    off = {}
    for shift_tokens in (8, 40):
        plan = sharing(make_plan(llama_model, SHAPE), shift_tokens)
        with running_stages(plan, llama) as runners:
            found = run_in_pieces(runners, plan, TEXT, PIECES)
        off[shift_tokens] = float((found - expected[ends]).abs().max())
    assert off[8] > 0.1
    assert off[40] < 1e-4


def layer_of(plan: Plan, folder: Path, *, rank: int, shifts: bool) -> tuple[DecoderLayer, int]:
    """Return one layer of a rank of a plan's first stage, and the bytes of its weights."""
    stage, model = plan.stages[0], plan.model
    team = Team(WireFormat(1, model.hidden, torch.float32), rank)
    peers = stage.shards if shifts else ()
    with WeightsReader(folder, torch.float32) as weights:
        facts = model, read_architecture(folder, model), stage.shards[rank], team, weights
        layer = DecoderLayer(Rank(*facts, peers=peers, shifts=shifts), 0)
    return layer, weights.weights_bytes


def weights_of(layer: DecoderLayer) -> list[tuple[Tensor, Tensor]]:
    """Return each projection's weight: of the rank's shard, and all that it holds."""
    attention, network = layer._attention, layer._ffn
    found = []
    for one in (attention._qkv, attention.output, network._gate_up, network.down):
        whole = one._whole if isinstance(one._whole, Linear) else one._whole._whole
        assert whole is not None
        found.append((one._own._weight, whole._weight))
    return found


@pytest.mark.parametrize("rank", [0, 1, 2])
def test_a_shard_is_a_view_of_the_only_copy_of_the_whole_weights(
    llama: Path, llama_model: Model, rank: int
) -> None:
    plan = make_plan(llama_model, [((0, 4), (1, 1, 1))])
    layer, held_bytes = layer_of(plan, llama, rank=rank, shifts=True)
    alone, _ = layer_of(plan, llama, rank=rank, shifts=False)
    for (own, whole), (shard, _) in zip(weights_of(layer), weights_of(alone), strict=True):
        assert own.untyped_storage().data_ptr() == whole.untyped_storage().data_ptr()
        assert own.numel() == whole.numel() // 3
        assert torch.equal(own, shard)
    width = ShardSizes(llama_model.kv_heads, llama_model.ffn, llama_model.vocab)
    assert held_bytes == layer_bytes(llama_model, width)
    norms = 2 * llama_model.hidden * 4
    assert held_bytes == norms + sum(
        whole.untyped_storage().nbytes() for _, whole in weights_of(layer)
    )


@given(st.integers(0, 300), st.integers(1, 9))
def test_every_token_is_in_one_portion_and_no_portion_is_two_larger(
    tokens: int, ranks: int
) -> None:
    ranges = Portions.of(tokens, ranks, 0).ranges
    assert [token for part in ranges for token in range(*part)] == list(range(tokens))
    sizes = [end - first for first, end in ranges]
    assert len(sizes) == ranks
    assert max(sizes) == sizes[0] == -(-tokens // ranks)
    assert max(sizes) - min(sizes) <= 1


@pytest.mark.parametrize("tokens", [2, 6, 8, 10, 36])
def test_collectives_of_two_ranks_send_the_bytes_of_the_formula(
    tokens: int, tiny: Callable[[str], Path]
) -> None:
    """Steps of up to 8 tokens all-reduce twice a layer; others exchange twice, and gather once."""
    folder = tiny("llama3")
    plan = sharing(make_plan(read_model_folder(folder), [((0, 1), (1,)), ((1, 3), (1, 1))]), 8)
    expected = formula_bytes(plan, tokens)
    assert sent_bytes(plan, folder, tokens) == [expected, expected]


@pytest.mark.parametrize("tokens", [1, 2, 7, 9, 11])
def test_exchanges_of_three_ranks_send_the_bytes_of_the_formula_but_no_padding(
    tokens: int, llama: Path, llama_model: Model
) -> None:
    """The formula pads each rank to the same number of tokens, and the runtime does not."""
    plan = sharing(make_plan(llama_model, [((0, 1), (1,)), ((1, 3), (1, 1, 1))]))
    padded = 3 * -(-tokens // 3)
    sent = sent_bytes(plan, llama, tokens)
    assert sum(sent) == 3 * formula_bytes(plan, tokens) * tokens / padded
