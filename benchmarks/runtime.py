"""Print the runtime's table: steps of one stage against transformers on the same thread.

    python benchmarks/runtime.py [--sizes 28M,125M,495M] [--batches 1,8,32] [--folder FOLDER]

Both run the same random-weight Llama in this process on one thread, and take their steps in turn.
The fastest step of each counts. Read the ratios, not the milliseconds.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import torch
from one_stage import StageRunner, StepTimes, TransformersRunner, compare
from planner import machine, row
from random_llamas import SIZES, make_llama

from hexplan.plan import Plan
from hexplan.reading import parse_spec
from hexplan_runtime.processes.command import huge_pages
from hexplan_solver import solve

PROMPT_TOKENS: Final = 64
HEADINGS: Final = (
    "model",
    "type",
    "batch",
    "prompts, ms",
    "transformers",
    "ratio",
    "decode, ms",
    "transformers",
    "ratio",
    "equal tokens",
)
SPEC: Final = """
version: 1
name: one-thread
model: {{path: {path}, dtype: {dtype}}}
workload:
  prompt_tokens: {{mean: 64, max: 128}}
  output_tokens: {{mean: 64, max: 128}}
devices:
  core: {{kind: cpu, memory: 4GiB, memory_bandwidth: 10GB/s, compute: 50 GFLOP/s}}
hosts:
  - {{name: desk, site: home, devices: core, nic: 1GB/s}}
coordinator: {{site: home, nic: 1GB/s}}
links:
  - {{within: home, bandwidth: 1GB/s, latency: 100us}}
"""


@dataclass(frozen=True, slots=True)
class Case:
    """One model in one type."""

    size: str
    dtype: str


def main() -> None:
    """Measure each model in each type at each batch, and print a row as soon as it is known."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", default=",".join(SIZES))
    parser.add_argument("--types", default="float32,bfloat16")
    parser.add_argument("--batches", default="1,8,32")
    parser.add_argument("--steps", type=int, default=16, help="decodes a round")
    parser.add_argument("--rounds", type=int, default=3, help="after one to warm up")
    parser.add_argument("--folder", type=Path, help="where models are kept; a temporary one else")
    arguments = parser.parse_args()
    if os.environ.get("GLIBC_TUNABLES") != huge_pages()["GLIBC_TUNABLES"]:
        # glibc reads it at the start alone. Both sides get what ranks get.
        os.execve(sys.executable, [sys.executable, *sys.argv], os.environ | huge_pages())  # noqa: S606
    torch.set_num_threads(1)
    print(f"{date.today()}, {machine()}, torch {torch.__version__}")  # noqa: DTZ011
    print(f"one stage, one thread, prompts of {PROMPT_TOKENS} tokens, fastest steps\n")
    print(row(HEADINGS))
    print(row(["---"] * len(HEADINGS)))
    with TemporaryDirectory() as temporary:
        folder = arguments.folder or Path(temporary)
        for size in arguments.sizes.split(","):
            for dtype in arguments.types.split(","):
                plan = one_stage_plan(make_llama(size, folder / size), dtype)
                batches = [int(batch) for batch in arguments.batches.split(",")]
                counts = arguments.steps, arguments.rounds
                for cells in measure(Case(size, dtype), plan, batches, counts):
                    print(row(cells), flush=True)


def one_stage_plan(model_folder: Path, dtype: str) -> Plan:
    """Return the plan of a model on one device."""
    text = SPEC.format(path=model_folder.resolve(), dtype=dtype)
    return solve(parse_spec(text, model_folder))


def measure(
    case: Case, plan: Plan, batches: list[int], counts: tuple[int, int]
) -> Iterator[list[str]]:
    """Yield a row of the table for each batch."""
    runners = StageRunner(plan), TransformersRunner(plan)
    for batch in batches:
        generator = torch.Generator().manual_seed(batch)
        prompts = torch.randint(0, plan.model.vocab, (batch, PROMPT_TOKENS), generator=generator)
        ours, theirs = compare(runners, prompts, *counts)
        yield [case.size, case.dtype, str(batch), *_figures(ours, theirs)]


def _figures(ours: StepTimes, theirs: StepTimes) -> Iterator[str]:
    for our_s, their_s in (
        (ours.prefill_s, theirs.prefill_s),
        (ours.decode_s, theirs.decode_s),
    ):
        yield f"{1000 * our_s:.1f}"
        yield f"{1000 * their_s:.1f}"
        yield f"{their_s / our_s:.2f}"
    pairs = [
        our_id == their_id
        for our_ids, their_ids in zip(ours.token_ids, theirs.token_ids, strict=True)
        for our_id, their_id in zip(our_ids, their_ids, strict=True)
    ]
    yield f"{sum(pairs)} of {len(pairs)}"


if __name__ == "__main__":
    main()
