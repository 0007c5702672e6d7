"""What transformers adds to prompts, for servers to be compared with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, DynamicCache
from transformers.convert_slow_tokenizer import bytes_to_unicode

CLEAR_MARGIN: Final = 1e-3
"""Logits of the two likeliest tokens must differ by this much, far above rounding errors."""


@dataclass(frozen=True, slots=True)
class Greedy:
    """A prompt, and the bytes of each token that follows it."""

    prompt_ids: tuple[int, ...]
    token_ids: tuple[int, ...]
    tokens: tuple[bytes, ...]


@torch.inference_mode()
def greedy(folder: Path, lengths: Sequence[int], each: int, new_tokens: int) -> list[Greedy]:
    """Return continuations of random prompts in 32 bits; those with unclear steps are left out.

    Parameters
    ----------
    lengths
        Tokens of the prompts: so many as `each` says of every length.
    """
    torch.set_num_threads(1)
    model = AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32, local_files_only=True
    ).eval()
    words = _words(folder, model.config.vocab_size)
    generator = torch.Generator().manual_seed(0)
    found = []
    for length in lengths:
        prompts = torch.randint(2, len(words), (each, length), generator=generator)
        ids, cache = prompts, DynamicCache()
        added, margins = [], []
        for _ in range(new_tokens):
            logits = model(ids, past_key_values=cache, use_cache=True).logits[:, -1]
            best = logits.topk(2)
            ids = best.indices[:, :1]
            added.append(ids[:, 0])
            margins.append(best.values[:, 0] - best.values[:, 1])
        clear = torch.stack(margins).min(0).values > CLEAR_MARGIN
        for prompt, tokens in zip(prompts[clear], torch.stack(added, 1)[clear], strict=True):
            token_ids = tuple(tokens.tolist())
            spelled = tuple(words[token] for token in token_ids)
            found.append(Greedy(tuple(prompt.tolist()), token_ids, spelled))
    return found


def _words(folder: Path, vocab: int) -> list[bytes]:
    """Return the bytes of each token of a vocabulary of bytes; no two tokens have the same."""
    letters = {letter: byte for byte, letter in bytes_to_unicode().items()}
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    entries: list[str] = tokenizer.convert_ids_to_tokens(list(range(vocab)))
    words = [
        entry.encode()
        if entry in tokenizer.all_special_tokens
        else bytes(letters[letter] for letter in entry)
        for entry in entries
    ]
    assert len(set(words)) == vocab
    return words
