"""How far each token of the clients' texts is from another one, by transformers.

    python benchmarks/chaos_margins.py

Prompts that are computed again after a kill round otherwise than in the undisturbed run, as they
stand in steps with other requests. So a text shows what a kill does to it only if none of its
tokens hangs on the last digits: the seeds of `chaos_streams.Ask` are such that none does.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from chaos_model import make_model
from chaos_streams import NUM_ASKS, Ask
from torch import Tensor
from transformers import AutoModelForCausalLM, AutoTokenizer

from hexplan_runtime.request import Sampling
from hexplan_runtime.stage.sampling import _uniform, draw


@dataclass(frozen=True, slots=True)
class Margin:
    """The least distance that a request's tokens have from others."""

    ask: Ask
    tokens: int
    least: float
    """Of logits where tokens are greedy, and of probabilities where they are drawn."""


def margins(folder: Path) -> Iterator[Margin]:
    """Yield the margin of each request to a model in a folder."""
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    for number in range(NUM_ASKS):
        yield margin(model, tokenizer, Ask(number))


@torch.inference_mode()
def margin(model: Any, tokenizer: Any, ask: Ask) -> Margin:
    """Return the margin of one request; its random numbers alone are hexplan's own."""
    ids: list[int] = tokenizer(ask.prompt).input_ids
    first, least = len(ids), float("inf")
    for _ in range(ask.max_tokens):
        logits_V = model(torch.tensor([ids])).logits[0, -1]
        token, distance = _drawn(logits_V, ask, len(ids)) if ask.is_drawn else _likeliest(logits_V)
        least = min(least, distance)
        ids.append(token)
        if token == model.generation_config.eos_token_id:
            break
    return Margin(ask, len(ids) - first, least)


def _likeliest(logits_V: Tensor) -> tuple[int, float]:
    """Return the likeliest token, and how far the next one's logit lies below its own."""
    best, second = logits_V.topk(2).values.tolist()
    return int(logits_V.argmax()), best - second


def _drawn(logits_V: Tensor, ask: Ask, position: int) -> tuple[int, float]:
    """Return the token that is drawn, and how far its number lies from another token's."""
    at = float(_uniform(ask.seed, position))
    token = draw(logits_V, Sampling(temperature=1.0, seed=ask.seed), position)
    end = float(logits_V.double().softmax(-1)[: token + 1].sum())
    begin = end - float(logits_V.double().softmax(-1)[token])
    return token, min(at - begin, end - at)


def main() -> None:
    """Print a line for each request."""
    with tempfile.TemporaryDirectory(prefix="chaos-") as name:
        for one in margins(make_model(Path(name))):
            kind = f"seed {one.ask.seed}" if one.ask.is_drawn else "greedy"
            print(f"{one.ask.number:>3} {kind:>9} {one.tokens:>4} tokens, {one.least:.1e}")


if __name__ == "__main__":
    main()
