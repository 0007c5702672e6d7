"""Models that read pictures, too: their text models give the logits that transformers gives."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
import torch
from make_tiny_checkpoints import make_config, randomise_vectors
from support.changed_folders import PIECES, TEXT, our_logits
from support.reference import all_logits
from transformers import (
    AutoModelForImageTextToText,
    CLIPVisionConfig,
    LlavaConfig,
    Mistral3Config,
    PixtralVisionConfig,
    PreTrainedConfig,
)

assert_close = partial(torch.testing.assert_close, rtol=1e-4, atol=1e-4)
VISION = {
    "hidden_size": 32,
    "intermediate_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "image_size": 16,
    "patch_size": 8,
}


def wrapped(family: str) -> PreTrainedConfig:
    """Return the config of a model that reads pictures and has a family's model inside."""
    text = make_config(family)
    if family == "llama":
        vision: PreTrainedConfig = CLIPVisionConfig(**VISION)
        return LlavaConfig(text_config=text, vision_config=vision, dtype="float32")
    vision = PixtralVisionConfig(**VISION)
    return Mistral3Config(
        text_config=text, vision_config=vision, dtype="float32", tie_word_embeddings=False
    )


@pytest.mark.parametrize("family", ["llama", "mistral"])
def test_the_text_model_inside_a_wrapper_runs(family: str, tmp_path: Path) -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        model = AutoModelForImageTextToText.from_config(wrapped(family))
        randomise_vectors(model)
    model.save_pretrained(tmp_path)
    theirs = AutoModelForImageTextToText.from_pretrained(tmp_path, local_files_only=True).eval()
    ends = torch.tensor(PIECES).cumsum(0) - 1
    assert_close(our_logits(tmp_path), all_logits(theirs, TEXT)[ends])
