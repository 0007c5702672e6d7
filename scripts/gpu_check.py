"""Check on a GPU, in under five minutes, that tokens are right and that decoding is fast enough.

Usage: ``python scripts/gpu_check.py [--layers N]``

Compares greedy tokens of a small random Llama in 32 bits with those of transformers, by runner.
Then times decode steps of a larger one in bfloat16 against the time that its weights and keys take
at the bandwidth of a copy. Exits with 0 if all is well or there is no GPU, else with 1.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final

import torch
from transformers import AutoModelForCausalLM, LlamaConfig

from hexplan.model import Model
from hexplan.plan import Shard
from hexplan.reading.model_folder.folder import read_model_folder
from hexplan_runtime.batch import Row
from hexplan_runtime.model.architecture import RunnerName, read_architecture
from hexplan_runtime.model.kv_cache import KvCache, KvShape
from hexplan_runtime.model.linear import Rank
from hexplan_runtime.model.rotary import RotaryTable
from hexplan_runtime.model.step import BlockStep, spans_of, turns_of
from hexplan_runtime.model.weights import WeightsReader
from hexplan_runtime.net.team import Team
from hexplan_runtime.net.wire import WireFormat
from hexplan_runtime.request import GREEDY
from hexplan_runtime.runner.graph_layers import GraphLayers
from hexplan_runtime.runner.own_layers import OwnLayers
from hexplan_runtime.runner.step_runner import StepRunner
from hexplan_runtime.runner.varlen import reads_of

RUNNERS: Final[tuple[RunnerName, ...]] = ("eager", "graph")
SMALL: Final[dict[str, Any]] = {
    "hidden_size": 256,
    "intermediate_size": 512,
    "num_hidden_layers": 4,
    "num_attention_heads": 8,
    "num_key_value_heads": 2,
    "vocab_size": 512,
}
LARGE: Final[dict[str, Any]] = {
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "num_hidden_layers": 8,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "vocab_size": 8192,
}
PROMPTS: Final = (7, 40, 1, 23)
NEW_TOKENS: Final = 16
CONTEXT: Final = 512
BATCHES: Final = (1, 8, 32)
LEAST_SHARE: Final = 0.5
"""Of the bandwidth of a copy, what a decode step with graphs must reach at batch 1."""


class Ranks:
    """The whole model on one GPU, as a stage's only rank."""

    def __init__(self, folder: Path, model: Model, tokens: int) -> None:
        dtype = {"float32": torch.float32, "bfloat16": torch.bfloat16}[model.dtype]
        self.model = model
        architecture = read_architecture(folder, model)
        shard = Shard(
            device=0, kv_heads=(0, model.kv_heads), ffn=(0, model.ffn), vocab=(0, model.vocab)
        )
        shape = KvShape(model.kv_heads, model.head_dim, dtype)
        self.cache = KvCache([(0, model.layers)], tokens, shape)
        team = Team(WireFormat(1, model.hidden, dtype))
        with WeightsReader(folder, dtype) as weights:
            rank = Rank(model, architecture, shard, team, weights)
            self.own = OwnLayers(rank, (0, model.layers), [(0, model.layers)], [shard.vocab])
        self.weights_bytes = weights.weights_bytes
        self.rotary = RotaryTable(architecture.rotary_frequencies, architecture.rotary_scale)
        self._runners: dict[str, StepRunner] = {
            "eager": self.own,
            "graph": GraphLayers(self.own, self.cache.arenas),
        }

    @torch.inference_mode()
    def step(self, name: str, rows: Sequence[Row], ids: torch.Tensor) -> torch.Tensor:
        """Return the likeliest token after each row."""
        runner = self._runners[name]
        for row in rows:
            self.cache.open(row.request, 0, row.context_tokens)
        spans = spans_of(rows)
        x_TH = runner.embed(ids)
        turns = turns_of(spans, self.rotary)
        runner.run(0, x_TH, BlockStep(spans, turns, self.cache.arenas[0], reads_of))
        logits = runner.logits(x_TH[[span.end - 1 for span in spans]])
        assert logits is not None
        likeliest: torch.Tensor = logits.argmax(-1)
        return likeliest


def main(argv: Sequence[str] | None = None) -> int:
    """Run both checks, and return the exit code."""
    parser = argparse.ArgumentParser(description="Check tokens and the speed of decoding on a GPU.")
    parser.add_argument("--layers", type=int, default=LARGE["num_hidden_layers"])
    options = parser.parse_args(argv)
    if not torch.cuda.is_available():
        print("skipped: torch finds no CUDA device here; run this on a machine with a GPU")
        return 0
    print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}")
    begun_s = time.perf_counter()
    with tempfile.TemporaryDirectory() as made, torch.device("cuda"):
        wrong = wrong_tokens(make(SMALL, "float32", Path(made) / "small"))
        large = {**LARGE, "num_hidden_layers": options.layers}
        share = share_of_bandwidth(make(large, "bfloat16", Path(made) / "large"))
    print(f"took {time.perf_counter() - begun_s:.0f} s")
    is_slow = share < LEAST_SHARE
    if wrong:
        print(f"FAILED: {wrong} sequences differ from those of transformers")
    if is_slow:
        print(f"FAILED: decode reaches {share:.2f} of a copy's bandwidth, needed {LEAST_SHARE}")
    return 1 if wrong or is_slow else 0


def make(sizes: dict[str, Any], dtype: str, folder: Path) -> Path:
    """Write a Llama with random weights, and return its folder."""
    fixed: dict[str, Any] = {"bos_token_id": None, "eos_token_id": None, "initializer_range": 0.1}
    torch.manual_seed(0)
    config = LlamaConfig(**sizes, **fixed, max_position_embeddings=4096, dtype=dtype)
    model = AutoModelForCausalLM.from_config(config)  # type: ignore[no-untyped-call]
    model.save_pretrained(folder)
    return folder


def wrong_tokens(folder: Path) -> int:
    """Return how many sequences, over all runners, differ from those of transformers."""
    reference: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    reference = reference.cuda().eval()
    generator = torch.Generator("cuda").manual_seed(1)
    prompts = [torch.randint(0, 512, (n,), generator=generator) for n in PROMPTS]
    expected = []
    for ids in prompts:
        made = reference.generate(ids[None], max_new_tokens=NEW_TOKENS, do_sample=False)
        expected.append(made[0, len(ids) :].tolist())
    wrong = 0
    for name in RUNNERS:
        found = continued(Ranks(folder, read_model_folder(folder), 512), name, prompts)
        differing = sum(a != b for a, b in zip(found, expected, strict=True))
        print(f"{name}: {len(prompts) - differing} of {len(prompts)} sequences equal")
        wrong += differing
    return wrong


def continued(ranks: Ranks, name: str, prompts: Sequence[torch.Tensor]) -> list[list[int]]:
    """Return the greedy continuations of prompts that run together."""
    at = [len(ids) for ids in prompts]
    rows = [Row(i, 0, 0, len(ids), len(ids) + NEW_TOKENS, GREEDY) for i, ids in enumerate(prompts)]
    found = [ranks.step(name, rows, torch.cat(list(prompts)))]
    for index in range(NEW_TOKENS - 1):
        rows = [Row(i, 0, n + index, 1, n + NEW_TOKENS, GREEDY) for i, n in enumerate(at)]
        found.append(ranks.step(name, rows, found[-1]))
    tokens: list[list[int]] = torch.stack(found).T.tolist()
    return tokens


def share_of_bandwidth(folder: Path) -> float:
    """Print the times of decode steps, and return the share of a copy's bandwidth at batch 1."""
    ranks = Ranks(folder, read_model_folder(folder), (max(BATCHES) + 1) * CONTEXT)
    bandwidth = copy_bandwidth()
    print(f"copy: {bandwidth / 1e9:.0f} GB/s, weights {ranks.weights_bytes / 1e9:.2f} GB")
    shares = {}
    for name in RUNNERS:
        for batch in BATCHES:
            rows = [Row(i, 0, CONTEXT - 1, 1, CONTEXT, GREEDY) for i in range(batch)]
            ids = torch.arange(batch)
            seconds = timed(partial(ranks.step, name, rows, ids))
            model = ranks.model
            kv = 2 * model.layers * model.kv_heads * model.head_dim * model.kv_bytes
            least_s = (ranks.weights_bytes + batch * CONTEXT * kv) / bandwidth
            shares[name, batch] = least_s / seconds
            print(
                f"{name}: batch {batch}: {1e3 * seconds:.2f} ms a step, {batch / seconds:.0f}"
                f" tokens/s, {least_s / seconds:.2f} of the copy's bandwidth"
            )
    return shares["graph", 1]


def copy_bandwidth() -> float:
    """Return bytes read and written per second by a copy in the GPU's memory."""
    source = torch.zeros(1 << 30, dtype=torch.uint8)
    target = torch.empty_like(source)
    return 2 * source.nbytes / timed(lambda: target.copy_(source))


def timed(run: Callable[[], object], repeats: int = 20) -> float:
    """Return the seconds of one run, on average, after a few that warm up."""
    for _ in range(3):
        run()
    with events() as (begin, end):
        begin.record()
        for _ in range(repeats):
            run()
        end.record()
    elapsed_ms: float = begin.elapsed_time(end)
    return elapsed_ms / 1e3 / repeats


@contextmanager
def events() -> Iterator[tuple[torch.cuda.Event, torch.cuda.Event]]:
    """Yield two events, and wait for the GPU at the end."""
    make: Any = torch.cuda.Event
    yield make(enable_timing=True), make(enable_timing=True)
    torch.cuda.synchronize()


if __name__ == "__main__":
    sys.exit(main())
