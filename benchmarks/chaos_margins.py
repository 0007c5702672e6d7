"""How far each token of the clients' texts is from another one, by transformers.

    python benchmarks/chaos_margins.py

Prompts that are computed again after a kill round otherwise than in the undisturbed run, as they
stand in steps with other requests. So a text shows what a kill does to it only if none of its
tokens hangs on the last digits: the seeds of `chaos_streams.Ask` are such that none does.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from chaos_model import make_model
from chaos_streams import NUM_ASKS, Ask
from transformers import AutoModelForCausalLM, AutoTokenizer

from hexplan_runtime.request import Sampling
from hexplan_runtime.stage.sampling import draw_rows


@dataclass(frozen=True, slots=True)
class Margin:
    """The least distance that a request's tokens have from others."""

    number: int
    tokens: int
    least: float
    """Of logits where tokens are greedy, and of probabilities where they are drawn."""


def margins(folder: Path, numbers: range) -> list[Margin]:
    """Return the margins of requests to a model in a folder."""
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    return [margin(model, AutoTokenizer.from_pretrained(folder), Ask(one)) for one in numbers]


@torch.inference_mode()
def margin(model: Any, tokenizer: Any, ask: Ask) -> Margin:
    """Return the margin of one request: nobody else computes the numbers that draw its tokens."""
    body = ask.body
    ids: list[int] = tokenizer(body["prompt"]).input_ids
    first, least = len(ids), float("inf")
    sampling = Sampling(temperature=float(str(body["temperature"])), seed=ask.seed)
    for _ in range(int(str(body["max_tokens"]))):
        logits_V = model(torch.tensor([ids])).logits[0, -1]
        if sampling.temperature:
            token, distance = _drawn(logits_V, sampling, len(ids))
        else:
            best, second = logits_V.topk(2).values.tolist()
            token, distance = int(logits_V.argmax()), best - second
        least = min(least, distance)
        if token == model.generation_config.eos_token_id:
            break
        ids.append(token)
    return Margin(ask.number, len(ids) - first, least)


def _drawn(logits_V: torch.Tensor, sampling: Sampling, position: int) -> tuple[int, float]:
    """Return the token that is drawn, and how far its number lies from the next token's."""
    token = int(draw_rows(logits_V[None], [sampling], [position])[0])
    low, high = 0.0, 1.0
    reach_V = logits_V.double().softmax(-1).cumsum(-1)
    begin = float(reach_V[token - 1]) if token else 0.0
    from hexplan_runtime.stage.sampling import _uniform

    at = float(_uniform(sampling.seed, position))
    low, high = at - begin, float(reach_V[token]) - at
    return token, min(low, high)


def main() -> None:
    """Print a line for each request."""
    with tempfile.TemporaryDirectory(prefix="chaos-") as name:
        for one in margins(make_model(Path(name)), range(NUM_ASKS)):
            print(f"{one.number:>3} {one.tokens:>4} tokens, {one.least:.1e}")


if __name__ == "__main__":
    main()
