"""Train a small model that finds needles in long contexts: the value that once followed a key.

    python scripts/train_needles.py --minutes 9 --out /tmp/needles

A text is of pairs of tokens: a key and its value, or two words that mean nothing. Each text gives
keys values of its own, and the loss is that of every value whose key was seen before. Two layers
see one position back and two see all, so needles are found in the last two layers and in no others.
Texts grow whenever the model finds most, and keys become rarer in long ones.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import Qwen3Config, Qwen3ForCausalLM

KEYS: Final = range(0, 64)
VALUES: Final = range(64, 128)
WORDS: Final = range(128, 192)
CONFIG: Final[dict[str, Any]] = {
    "vocab_size": WORDS.stop,
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 32,
    "rope_theta": 1e6,
    "max_position_embeddings": 4096,
    "sliding_window": 2,
    "use_sliding_window": True,
    "layer_types": [*["sliding_attention"] * 2, *["full_attention"] * 2],
    "tie_word_embeddings": True,
    "bos_token_id": None,
    "eos_token_id": None,
    "dtype": "float32",
}
LENGTHS: Final = (32, 64, 128, 256, 512, 1024)
GOOD: Final = 0.95
"""Share of right values from which on texts become longer."""
TOKENS_PER_STEP: Final = 2048
KEY_PAIRS: Final = 128
"""At most so many pairs of a text have keys, so that long texts are mostly hay."""
RATE: Final = 3e-3


@dataclass(frozen=True, slots=True)
class Texts:
    """Texts `[B, T]`, and which of their tokens are values of keys seen before."""

    ids: Tensor
    known: Tensor


def draw(count: int, length: int, generator: torch.Generator) -> Texts:
    """Return `count` texts of `length` tokens."""

    def among(tokens: range, shape: tuple[int, ...]) -> Tensor:
        return torch.randint(tokens.start, tokens.stop, shape, generator=generator)

    pairs = length // 2
    values = among(VALUES, (count, len(KEYS)))
    used = min(len(KEYS), max(4, pairs // 4))
    book = torch.rand((count, len(KEYS)), generator=generator).argsort(1)[:, :used]
    keys = book.gather(1, among(range(used), (count, pairs)))
    ids = torch.stack([keys, values.gather(1, keys)], -1)
    share = min(0.8, KEY_PAIRS / pairs)
    keyed = torch.rand((count, pairs), generator=generator) < share
    ids = torch.where(keyed[..., None], ids, among(WORDS, (count, pairs, 2)))
    same = (keys[:, :, None] == keys[:, None, :]) & keyed[:, None, :]
    known = same.tril(-1).any(-1) & keyed
    return Texts(ids.flatten(1), torch.stack([torch.zeros_like(known), known], -1).flatten(1))


def train(minutes: float, seed: int) -> Qwen3ForCausalLM:
    """Return a model that was trained for so many minutes of processor time."""
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    model = Qwen3ForCausalLM(Qwen3Config(**CONFIG))
    optimiser = torch.optim.AdamW(model.parameters(), lr=RATE, betas=(0.9, 0.95), weight_decay=0.01)
    step, size, right = 0, 0, 0.0
    while (passed := time.process_time() / (60 * minutes)) < 1:
        length = LENGTHS[size]
        texts = draw(TOKENS_PER_STEP // length, length, generator)
        asked = texts.known[:, 1:]
        hidden = model.model(texts.ids).last_hidden_state[:, :-1][asked]
        logits, targets = model.lm_head(hidden), texts.ids[:, 1:][asked]
        loss = F.cross_entropy(logits, targets)
        for group in optimiser.param_groups:
            group["lr"] = RATE * min(1.0, (step + 1) / 50) * max(0.05, 1 - passed)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        step += 1
        right = 0.9 * right + 0.1 * float((logits.argmax(-1) == targets).float().mean())
        if step % 50 == 0:
            print(f"{step} steps, {length} tokens: {loss:.3f}, {right:.0%} right", flush=True)
        if right > GOOD and size + 1 < len(LENGTHS):
            size, right = size + 1, 0.0
    model.eval()  # type: ignore[no-untyped-call]
    return model


def main() -> None:
    """Train and write a model folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=9.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    train(arguments.minutes, arguments.seed).save_pretrained(arguments.out)


if __name__ == "__main__":
    main()
