"""Print the table of launched shapes: one stage, two stages and two ranks that share each layer.

    python benchmarks/launched.py [--sizes 28M,125M] [--in-flight 1,8,16] [--folder FOLDER]

Each rank is a process of one thread, and so is the launcher. All shapes run at the same time but
generate in turn, and the best round of each counts. A machine needs a processor for each rank.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import torch
from planner import machine, row
from random_llamas import SIZES, make_llama

from hexplan.plan import Plan
from hexplan.reading import parse_spec
from hexplan_runtime.launch.pipeline import Pipeline
from hexplan_runtime.request import Request
from hexplan_solver import solve

PROMPT_TOKENS: Final = 16
SPEC: Final = """
version: 1
name: {shape}
model: {{path: {path}, dtype: {dtype}}}
workload:
  prompt_tokens: {{mean: 16, max: 64}}
  output_tokens: {{mean: 32, max: 128}}
devices:
  core: {{kind: cpu, memory: 4GiB, memory_bandwidth: 10GB/s, compute: 50 GFLOP/s}}
coordinator: {{site: here, nic: 2GB/s}}
links: [{{within: here, bandwidth: 2GB/s, latency: 100us}}]
"""
HOSTS: Final = {
    "one": "hosts: [{{name: h0, site: here, devices: core, nic: 2GB/s}}]\n",
    "two": 'hosts: [{{name: "h[0-1]", site: here, devices: core, nic: 2GB/s}}]\n'
    "pin: [{{host: h0, layers: [0, {half}]}}, {{host: h1, layers: [{half}, {layers}]}}]\n",
    "tp2": "hosts: [{{name: h0, site: here, devices: 2 x core, nic: 2GB/s,"
    " interconnect: {{bandwidth: 2GB/s, latency: 100us}}}}]\n"
    "pin: [{{same_stage: [h0/0, h0/1]}}]\n",
}


def main() -> None:
    """Launch every shape of each model, and print tokens/s for each number of requests."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", default="28M,125M")
    parser.add_argument("--type", default="float32")
    parser.add_argument("--in-flight", default="1,8,16")
    parser.add_argument("--tokens", type=int, default=16, help="new tokens a request")
    parser.add_argument("--rounds", type=int, default=3, help="after one to warm up")
    parser.add_argument("--folder", type=Path, help="where models are kept; a temporary one else")
    arguments = parser.parse_args()
    print(f"{date.today()}, {machine()}, {arguments.type}")  # noqa: DTZ011
    print("tokens/s of prompts and new tokens together, best rounds\n")
    print(row(["model", "in flight", *HOSTS, *(f"{shape} / one" for shape in list(HOSTS)[1:])]))
    print(row(["---"] * (2 * len(HOSTS) + 1)))
    counts = arguments.tokens, arguments.rounds
    with TemporaryDirectory() as temporary:
        folder = arguments.folder or Path(temporary)
        for size in arguments.sizes.split(","):
            model_folder = make_llama(size, folder / size)
            plans = [plan_of(shape, size, model_folder, arguments.type) for shape in HOSTS]
            with ExitStack() as stack:
                pipelines = [stack.enter_context(Pipeline(plan)) for plan in plans]
                for in_flight in map(int, arguments.in_flight.split(",")):
                    found = rates(pipelines, in_flight, *counts)
                    figures = [f"{rate:.0f}" for rate in found]
                    ratios = [f"{rate / found[0]:.2f}" for rate in found[1:]]
                    print(row([size, str(in_flight), *figures, *ratios]), flush=True)


def plan_of(shape: str, size: str, model_folder: Path, dtype: str) -> Plan:
    """Return the plan of a model in this shape."""
    layers = SIZES[size]["num_hidden_layers"]
    text = (SPEC + HOSTS[shape]).format(
        shape=shape, path=model_folder.resolve(), dtype=dtype, layers=layers, half=layers // 2
    )
    return solve(parse_spec(text, model_folder))


def rates(pipelines: Sequence[Pipeline], in_flight: int, tokens: int, rounds: int) -> list[float]:
    """Return the tokens/s of each pipeline in its best round, the first one left out."""
    best = [0.0] * len(pipelines)
    for round_index in range(rounds + 1):
        for index, pipeline in enumerate(pipelines):
            vocab = pipeline.plan.model.vocab
            prompts = torch.randint(0, vocab, (in_flight, PROMPT_TOKENS)).tolist()
            requests = [Request(tuple(prompt), tokens) for prompt in prompts]
            start = time.perf_counter()
            for _ in pipeline.generate(requests):
                pass
            seconds = time.perf_counter() - start
            if round_index:
                best[index] = max(best[index], in_flight * (PROMPT_TOKENS + tokens) / seconds)
    return best


if __name__ == "__main__":
    main()
