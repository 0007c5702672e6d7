"""Print the runtime's table: tokens/s of a launched plan and of transformers in one process.

    python benchmarks/runtime.py [--tokens N] [--rounds N] [SPEC]

All figures of one run are taken in turn on one machine; read the ratios, not the tokens/s.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path
from statistics import median

import torch
from planner import machine
from transformers import AutoModelForCausalLM

from hexplan.reading import read_spec
from hexplan_runtime.launch.pipeline import Pipeline
from hexplan_runtime.request import Request
from hexplan_solver import solve

ROOT = Path(__file__).parents[1]
PROMPT_TOKENS = 32
IN_FLIGHT = (1, 2, 8)


def main() -> None:
    """Measure each number of requests in flight in turn, for several rounds, and print medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("spec", nargs="?", type=Path, default=ROOT / "cluster_specs/laptop.yaml")
    arguments = parser.parse_args()
    plan = solve(read_spec(arguments.spec))
    torch.set_num_threads(1)
    model = AutoModelForCausalLM.from_pretrained(plan.model.path, dtype=torch.float32)
    degrees = ", ".join(f"{stage.layers[0]}-{stage.layers[1]}: {stage.tp}" for stage in plan.stages)
    print(f"{date.today()}, {machine()}, {arguments.spec.stem}")  # noqa: DTZ011
    print(f"stages (layers: TP) {degrees}; {arguments.tokens} tokens a request, medians\n")
    print("| requests in flight | plan, tokens/s | transformers, 1 thread | ratio |")
    print("|---|---|---|---|")
    with Pipeline(plan) as pipeline:
        for in_flight in IN_FLIGHT:
            prompts = torch.randint(2, plan.model.vocab, (in_flight, PROMPT_TOKENS)).tolist()
            tasks = (
                lambda p=prompts: run_plan(pipeline, p, arguments.tokens),
                lambda p=prompts: run_transformers(model, p, arguments.tokens),
            )
            ours, theirs = rates(tasks, in_flight * arguments.tokens, arguments.rounds)
            print(f"| {in_flight} | {ours:.0f} | {theirs:.0f} | {ours / theirs:.2f} |", flush=True)


def rates(tasks: tuple[Callable[[], None], ...], tokens: int, rounds: int) -> list[float]:
    """Return the median tokens/s of each task, run in turn, after one round to warm up."""
    walls: list[list[float]] = [[] for _ in tasks]
    for _ in range(rounds + 1):
        for task, wall in zip(tasks, walls, strict=True):
            start = time.monotonic()
            task()
            wall.append(time.monotonic() - start)
    return [tokens / median(wall[1:]) for wall in walls]


def run_plan(pipeline: Pipeline, prompts: list[list[int]], tokens: int) -> None:
    """Generate greedily through the plan."""
    for _ in pipeline.generate([Request(tuple(prompt), tokens) for prompt in prompts]):
        pass


def run_transformers(model: torch.nn.Module, prompts: list[list[int]], tokens: int) -> None:
    """Generate greedily in this process, all prompts as one batch."""
    model.generate(
        torch.tensor(prompts),
        attention_mask=torch.ones(len(prompts), PROMPT_TOKENS, dtype=torch.int64),
        min_new_tokens=tokens,
        max_new_tokens=tokens,
        do_sample=False,
        pad_token_id=0,
    )


if __name__ == "__main__":
    main()
