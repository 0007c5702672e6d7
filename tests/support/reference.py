"""What one process says: greedy continuations by transformers, every step a clear choice."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, PreTrainedModel

CLEAR_MARGIN = 1e-3
"""Logits of the two likeliest tokens must differ by this much, far above rounding errors."""


@dataclass(frozen=True, slots=True)
class Continuation:
    """A prompt, the tokens that follow it, and how clear the least clear choice was."""

    prompt_ids: tuple[int, ...]
    token_ids: tuple[int, ...]
    margin: float


def load_reference(folder: Path) -> PreTrainedModel:
    """Return the whole model in this process, in 32 bits."""
    return AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32, local_files_only=True
    ).eval()


@torch.inference_mode()
def continue_greedily(
    model: PreTrainedModel, prompt_ids: tuple[int, ...], num_tokens: int
) -> Continuation:
    """Return the likeliest token after each step, without any stop token."""
    found = model(torch.tensor([prompt_ids]), use_cache=True)
    token_ids: list[int] = []
    margins: list[float] = []
    while True:
        best = found.logits[0, -1].topk(2)
        margins.append(float(best.values[0] - best.values[1]))
        token_ids.append(int(best.indices[0]))
        if len(token_ids) == num_tokens:
            return Continuation(prompt_ids, tuple(token_ids), min(margins))
        step = torch.tensor([token_ids[-1:]])
        found = model(step, past_key_values=found.past_key_values, use_cache=True)


def clear_continuations(
    model: PreTrainedModel, count: int, num_tokens: int, max_prompt: int = 60
) -> list[Continuation]:
    """Return continuations of random prompts of varied length, unclear ones left out."""
    pool = random_prompts(model.config.vocab_size, max_prompt, seed=7)
    found = (continue_greedily(model, prompt, num_tokens) for prompt in pool)
    clear = (continuation for continuation in found if continuation.margin > CLEAR_MARGIN)
    return [next(clear) for _ in range(count)]


def random_prompts(vocab: int, max_length: int, seed: int) -> Iterator[tuple[int, ...]]:
    """Yield prompts of 1 to `max_length` random tokens."""
    generator = torch.Generator().manual_seed(seed)
    while True:
        length = int(torch.randint(1, max_length + 1, (), generator=generator))
        yield tuple(torch.randint(0, vocab, (length,), generator=generator).tolist())


@torch.inference_mode()
def all_logits(model: PreTrainedModel, ids: Sequence[int]) -> torch.Tensor:
    """Return the logits after each token of a text."""
    return model(torch.tensor([list(ids)])).logits[0]
