"""What fetching a part of keys and values costs in accuracy: perplexity, and needles found.

The shipped model tells English text, and a small model (scripts/train_needles.py) the values that
once followed keys. Prompts see everything; each later token is a decode that fetches.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Final

import torch
import torch.nn.functional as F
from kv_offload_stage import ForcedStage, Way, at_random, plan_of
from torch import Tensor
from transformers import AutoTokenizer

ROOT: Final = Path(__file__).parents[1]
MODEL: Final = ROOT / "models" / "austen-3m"
CORPUS: Final = ROOT / "models" / "corpus"
NOVELS: Final = ("emma", "pride_and_prejudice", "sense_and_sensibility")
FRACTIONS: Final = tuple(map(Decimal, ("0.5", "0.2", "0.1", "0.05")))
PROMPT, CONTEXT = 128, 256
KEYS, VALUES, WORDS = range(64), range(64, 128), range(128, 192)
NEEDLES, QUESTIONS, HAYSTACKS = 32, 8, 24


@dataclass(frozen=True, slots=True)
class Row:
    """One way to fetch, and what it was measured."""

    name: str
    way: Way


def ways() -> Iterator[Row]:
    """Yield what is compared: nothing in host memory, all fetched, and parts, chosen or drawn."""
    yield Row("nothing in host memory", Way())
    yield Row("all", Way(Decimal(1)))
    for fraction in FRACTIONS:
        yield Row(f"{float(fraction):.0%} by bounds", Way(fraction))
        yield Row(f"{float(fraction):.0%} at random", Way(fraction, at_random(1)))


def novel_ids() -> Tensor:
    """Return parts of the ends of the novels, which the model was not trained on: `[R, T]`."""
    tokenizer = AutoTokenizer.from_pretrained(MODEL)
    parts = []
    for name in NOVELS:
        text = (CORPUS / f"{name}.txt").read_text(encoding="utf-8")
        for part in range(2):
            first = int(len(text) * 0.97) + part * 4000
            parts.append(tokenizer(text[first:][:2000])["input_ids"][:CONTEXT])
    return torch.tensor(parts)


def perplexity_rows() -> Iterator[str]:
    """Yield the table of the shipped model."""
    plan, ids_RT = plan_of(MODEL), novel_ids()
    yield "| fetched | perplexity | of keys and values |"
    yield "|---|---|---|"
    most = 0
    for row in ways():
        stage = ForcedStage(plan, row.way)
        logits_RTV = stage.logits(ids_RT, PROMPT)[:, :-1]
        targets = ids_RT[:, PROMPT:].flatten()
        loss = F.cross_entropy(logits_RTV.flatten(0, 1), targets)
        most = most or stage.link.ahead_bytes
        yield f"| {row.name} | {math.exp(loss):.2f} | {_share(stage.link.ahead_bytes, most)} |"


def haystacks(length: int, generator: torch.Generator) -> tuple[Tensor, int]:
    """Return texts that end in questions, `[R, T]`, and how long their prompts are."""
    texts = []
    for _ in range(HAYSTACKS):
        ids_P2 = torch.randint(WORDS.start, WORDS.stop, (length // 2, 2), generator=generator)
        keys = torch.randperm(len(KEYS), generator=generator)[:NEEDLES]
        values = torch.randint(VALUES.start, VALUES.stop, (NEEDLES,), generator=generator)
        places = torch.randperm(length // 2, generator=generator)[:NEEDLES]
        ids_P2[places] = torch.stack([keys, values], dim=1)
        asked = torch.randperm(NEEDLES, generator=generator)[:QUESTIONS]
        questions = torch.stack([keys[asked], values[asked]], dim=1)
        texts.append(torch.cat([ids_P2.flatten(), questions.flatten()]))
    return torch.stack(texts), length


def needle_rows(folder: Path, lengths: Sequence[int]) -> Iterator[str]:
    """Yield the table of the model that finds needles."""
    plan = plan_of(folder)
    yield "| fetched | " + " | ".join(f"found of {length} tokens" for length in lengths) + " |"
    yield "|---|" + "---|" * len(lengths)
    drawn = [haystacks(length, torch.Generator().manual_seed(length)) for length in lengths]
    for row in ways():
        found = []
        for ids_RT, prompt in drawn:
            stage = ForcedStage(plan, row.way)
            # After each key, which is a decode, the model says a value.
            said = stage.logits(ids_RT, prompt)[:, 1::2].argmax(-1)
            right = (said == ids_RT[:, prompt + 1 :: 2]).float().mean()
            found.append(f"{float(right):.1%}")
        yield f"| {row.name} | {' | '.join(found)} |"


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.1%}" if whole else "0"
