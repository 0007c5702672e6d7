"""A tied table on the stage that embeds and has the head: kept once, and read both ways."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from hexplan.plan import Shard
from hexplan.reading.model_folder.folder import read_model_folder
from hexplan_runtime.model.architecture import read_architecture
from hexplan_runtime.model.layers import Embedding, Head
from hexplan_runtime.model.linear import Rank
from hexplan_runtime.model.weights import WeightsReader
from hexplan_runtime.net.team import Team
from hexplan_runtime.net.wire import WireFormat

VOCAB, HIDDEN = 96, 32


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_shared_table_embeds_and_scores_as_transformers_does(
    tmp_path: Path, dtype: torch.dtype
) -> None:
    config = LlamaConfig(
        vocab_size=VOCAB,
        hidden_size=HIDDEN,
        intermediate_size=64,
        num_hidden_layers=1,
        num_attention_heads=2,
        tie_word_embeddings=True,
    )
    torch.manual_seed(0)
    theirs = LlamaForCausalLM(config).to(dtype).eval()
    theirs.save_pretrained(tmp_path)
    model = read_model_folder(tmp_path, str(dtype).removeprefix("torch."))
    whole = Shard(device=0, kv_heads=(0, model.kv_heads), ffn=(0, model.ffn), vocab=(0, VOCAB))
    team = Team(WireFormat(1, HIDDEN, dtype))
    ids = torch.randint(0, VOCAB, (9,))
    with WeightsReader(tmp_path, dtype) as weights, torch.inference_mode():
        rank = Rank(model, read_architecture(tmp_path, model), whole, team, weights)
        embedding = Embedding(rank)
        read_before = weights.bytes_read
        head = Head(rank, (whole.vocab,), embedding)
        assert weights.bytes_read - read_before == HIDDEN * dtype.itemsize  # the norm alone
        assert torch.equal(embedding(ids), theirs.model.embed_tokens(ids))
        x = torch.randn(3, HIDDEN).to(dtype)
        logits = head(x)
        expected = theirs.lm_head(theirs.model.norm(x))
    assert logits is not None
    tolerance = 1e-5 if dtype == torch.float32 else 2e-2
    torch.testing.assert_close(logits, expected, rtol=tolerance, atol=tolerance)
