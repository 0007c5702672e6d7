"""Train the small language model in ``models/austen-3m`` from the text in ``models/corpus``.

Usage: ``python scripts/train_model.py --minutes 11 --out models/austen-3m``
"""

from __future__ import annotations

import argparse
import math
import os
import re
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from torch import Tensor, nn
from torch.nn import functional
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

BOS, EOS = "<s>", "</s>"
VOCAB_SIZE = 2048
DOCUMENT_CHARS = 1500  # a document is a group of paragraphs of about this length
HELD_OUT = 0.04  # of each novel, at its end
BATCH, LENGTH = 8, 256  # rows a step, tokens a row
PEAK_LR, WARMUP, WEIGHT_DECAY = 3e-3, 0.03, 0.1
HEADING = re.compile(r"(VOLUME|CHAPTER) ([IVX]+|\d+)")
CARD = """# {name}

A Llama-architecture language model of 3.05 million parameters (6 layers, hidden size 192,
12 query heads, 6 key-value heads, tied embeddings, byte-level BPE vocabulary of 2048), trained
from scratch. It writes prose in the manner of its text and knows nothing; it serves to test and
show inference code with a real model small enough to ship.

- Data: the three public-domain Jane Austen novels in `models/corpus`, split into documents of
  about 1500 characters, each between `<s>` and `</s>`; the last 4 % of each novel are held out.
- Command: `python {command}`
- Machine: {cores}-core CPU; date: {date}
- Training: {run.steps} steps, {tokens:.1f} million tokens, {minutes:.1f} minutes
- Training loss at the end (nats a token, running mean): {run.loss:.3f}
- Held-out loss of the saved bfloat16 weights: {loss:.3f}; held-out perplexity a token:
  **{perplexity:.2f}**

Greedy continuations:

{samples}
"""


@dataclass(frozen=True)
class Run:
    """Hold what one training run did."""

    steps: int
    seconds: float
    loss: float


def read_documents(path: Path) -> list[str]:
    """Split one novel into documents: groups of whole paragraphs of one chapter."""
    documents: list[str] = []
    group: list[str] = []
    for paragraph in [*path.read_text(encoding="utf-8").strip().split("\n\n"), "CHAPTER 0"]:
        heading = HEADING.fullmatch(paragraph) is not None
        if group and (heading or sum(map(len, group)) >= DOCUMENT_CHARS):
            documents.append("\n\n".join(group))
            group = []
        if not heading:
            group.append(paragraph)
    return documents


def load_corpus(folder: Path) -> tuple[list[str], list[str]]:
    """Return the training documents and the held-out ones, the last of each novel."""
    train: list[str] = []
    held: list[str] = []
    for path in sorted(folder.glob("*.txt")):
        documents = read_documents(path)
        cut = round(len(documents) * (1 - HELD_OUT))
        train += documents[:cut]
        held += documents[cut:]
    return train, held


def train_tokenizer(documents: list[str]) -> PreTrainedTokenizerFast:
    """Train a byte-level BPE tokenizer whose decoding gives back exactly what it encoded."""
    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCAB_SIZE,
        special_tokens=[BOS, EOS],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    core.train_from_iterator(documents, trainer)
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=core,
        bos_token=BOS,
        eos_token=EOS,
        clean_up_tokenization_spaces=False,
        model_max_length=512,
    )


def to_tokens(tokenizer: PreTrainedTokenizerFast, documents: list[str]) -> Tensor:
    """Encode the documents into one row of token ids, each between bos and eos."""
    rows = tokenizer([f"{BOS}{document}{EOS}" for document in documents])["input_ids"]
    return torch.tensor([token for row in rows for token in row])


def build_model(tokenizer: PreTrainedTokenizerFast) -> LlamaForCausalLM:
    """Build the Llama model with fresh random weights."""
    config = LlamaConfig(
        vocab_size=VOCAB_SIZE,
        hidden_size=192,
        intermediate_size=576,
        num_hidden_layers=6,
        num_attention_heads=12,
        num_key_value_heads=6,
        head_dim=16,
        max_position_embeddings=512,
        tie_word_embeddings=True,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    return LlamaForCausalLM(config)


def batches(tokens: Tensor, seed: int) -> Iterator[Tensor]:
    """Yield batches for ever, each pass cutting the text at another offset, in another order."""
    generator = torch.Generator().manual_seed(seed)
    while True:
        offset = int(torch.randint(LENGTH, (1,), generator=generator))
        count = (len(tokens) - offset) // LENGTH
        rows = tokens[offset : offset + count * LENGTH].view(count, LENGTH)
        order = torch.randperm(count, generator=generator)
        for start in range(0, count - BATCH + 1, BATCH):
            yield rows[order[start : start + BATCH]]


def loss_of(model: nn.Module, rows: Tensor, reduced: bool) -> Tensor:
    """Return the mean next-token loss of the rows, in bfloat16 arithmetic where asked."""
    with torch.autocast("cpu", torch.bfloat16, enabled=reduced):
        logits = model(input_ids=rows, use_cache=False).logits
    return functional.cross_entropy(logits[:, :-1].float().flatten(0, 1), rows[:, 1:].flatten())


@torch.no_grad()
def evaluate(model: nn.Module, tokens: Tensor) -> float:
    """Return the mean float32 loss over all the given tokens, cut into training-length rows."""
    count = len(tokens) // LENGTH
    rows = tokens[: count * LENGTH].view(count, LENGTH)
    return sum(float(loss_of(model, rows[i : i + 1], reduced=False)) for i in range(count)) / count


def make_optimizer(model: nn.Module) -> torch.optim.AdamW:
    """Return AdamW with weight decay on the matrices only."""
    matrices = [p for p in model.parameters() if p.dim() > 1]
    vectors = [p for p in model.parameters() if p.dim() == 1]
    groups: list[dict[str, Any]] = [{"params": matrices}]
    groups.append({"params": vectors, "weight_decay": 0.0})
    return torch.optim.AdamW(groups, lr=PEAK_LR, betas=(0.9, 0.95), weight_decay=WEIGHT_DECAY)


def learning_rate(progress: float) -> float:
    """Return the rate at a fraction of the run: a linear warm-up, then a cosine to a twentieth."""
    if progress < WARMUP:
        return PEAK_LR * (progress + 1e-3) / (WARMUP + 1e-3)
    angle = math.pi * (progress - WARMUP) / (1 - WARMUP)
    return PEAK_LR * (0.05 + 0.95 * (1 + math.cos(angle)) / 2)


def fit(model: nn.Module, train: Tensor, held: Tensor, options: argparse.Namespace) -> Run:
    """Train until the steps, or the minutes where no steps are set, are used up."""
    optimizer = make_optimizer(model)
    begin = time.monotonic()
    steps, mean = 0, math.log(VOCAB_SIZE)
    for rows in batches(train, options.seed):
        spent = time.monotonic() - begin
        progress = steps / options.steps if options.steps else spent / (60 * options.minutes)
        if progress >= 1:
            break
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(progress)
        loss = loss_of(model, rows, reduced=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        steps += 1
        mean += (loss.item() - mean) * max(0.02, 1 / steps)
        if steps % 250 == 0:
            print(f"step {steps} ({progress:.0%}, {spent:.0f} s): train {mean:.3f}, ", end="")
            print(f"held out {evaluate(model, held):.3f}", flush=True)
    return Run(steps, time.monotonic() - begin, mean)


def write_card(out: Path, model: LlamaForCausalLM, run: Run, loss: float) -> None:
    """Write the model card with the measured figures and greedy samples."""
    tokenizer = PreTrainedTokenizerFast.from_pretrained(out)
    samples = []
    for prompt in ("It was", "Mr. Darcy said", "She had been"):
        inputs = tokenizer(prompt, return_tensors="pt")["input_ids"]
        output = model.generate(inputs, max_new_tokens=40, do_sample=False)  # type: ignore[misc]
        text = tokenizer.decode(output[0], skip_special_tokens=True)
        samples.append("> " + " ".join(str(text).split()))
    text = CARD.format(
        name=out.name, command=" ".join(sys.argv), cores=os.cpu_count(), date=date.today(), run=run,
        tokens=run.steps * BATCH * LENGTH / 1e6, minutes=run.seconds / 60, loss=loss,
        perplexity=math.exp(loss), samples="\n\n".join(samples),
    )  # fmt: skip
    (out / "README.md").write_text(text, encoding="utf-8")


def main(argv: list[str] | None = None) -> None:
    """Train the tokenizer and the model, save both and report the held-out perplexity."""
    parser = argparse.ArgumentParser(description="Train the small language model.")
    parser.add_argument("--corpus", type=Path, default=Path("models/corpus"))
    parser.add_argument("--out", type=Path, default=Path("models/austen-3m"))
    parser.add_argument("--minutes", type=float, default=11.0, help="time to train for")
    parser.add_argument("--steps", type=int, default=0, help="steps to train for, not minutes")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(argv)
    torch.manual_seed(options.seed)
    torch.set_num_threads(2)
    train_texts, held_texts = load_corpus(options.corpus)
    tokenizer = train_tokenizer(train_texts)
    train, held = to_tokens(tokenizer, train_texts), to_tokens(tokenizer, held_texts)
    model = build_model(tokenizer)
    print(f"{model.num_parameters():,} parameters, {len(train):,} + {len(held):,} tokens")
    run = fit(model, train, held, options)
    model.to(torch.bfloat16).save_pretrained(options.out)  # type: ignore[arg-type]
    tokenizer.save_pretrained(options.out)
    record = options.out / "tokenizer_config.json"  # under the name every version knows
    record.write_text(record.read_text().replace("TokenizersBackend", "PreTrainedTokenizerFast"))
    saved = LlamaForCausalLM.from_pretrained(options.out, dtype=torch.float32)
    loss = evaluate(saved, held)
    print(f"{run}; held-out loss {loss:.3f}, perplexity {math.exp(loss):.2f}")
    write_card(options.out, saved, run, loss)


if __name__ == "__main__":
    main()
