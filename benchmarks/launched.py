"""Print the table of launched shapes: one stage, two stages and two ranks that share each layer.

    python benchmarks/launched.py [--sizes 28M,125M] [--in-flight 1,8,16] [--folder FOLDER]

Each rank is a process of one thread on a processor of its own, and the launcher takes what they
leave. All shapes run at the same time but generate in turn, and the best round of each counts.

Two ranks get twice as many requests as one, so that their steps have as many rows. `of two alone`
is the rate over twice that of one stage. `busy` are the shares of the round in which each rank ran,
and the launcher: these share two processors.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
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

SPEC: Final = """
version: 1
name: {shape}
model: {{path: {path}, dtype: {dtype}}}
workload:
  prompt_tokens: {{mean: {prompt}, max: {prompt}}}
  output_tokens: {{mean: 32, max: 128}}
devices:
  core: {{kind: cpu, memory: 4GiB, memory_bandwidth: 10GB/s, compute: 50 GFLOP/s}}
coordinator: {{site: here, nic: 2GB/s}}
links: [{{within: here, bandwidth: 2GB/s, latency: 100us}}]
"""
HOSTS: Final = {
    "one": "hosts: [{{name: h0, site: here, devices: core, nic: 2GB/s}}]\n",
    "two": 'hosts: [{{name: "h[0-1]", site: here, devices: core, nic: 2GB/s}}]\n'
    "pin: [{{host: h0, layers: [0, {cut}]}}, {{host: h1, layers: [{cut}, {layers}]}}]\n",
    "tp2": "hosts: [{{name: h0, site: here, devices: 2 x core, nic: 2GB/s,"
    " interconnect: {{bandwidth: 2GB/s, latency: 100us}}}}]\n"
    "pin: [{{same_stage: [h0/0, h0/1]}}]\n",
}


HEADINGS: Final = (
    *("model", "in flight", "one", "busy", "two", "of two alone", "busy"),
    *("tp2", "of two alone", "busy"),
)


@dataclass(frozen=True, slots=True)
class Load:
    """What every request is."""

    prompt_tokens: int
    tokens: int
    """New tokens."""
    rounds: int
    """After one to warm up."""

    def request(self, vocab: int) -> Request:
        """Return a request with a random prompt."""
        return Request(tuple(torch.randint(0, vocab, (self.prompt_tokens,)).tolist()), self.tokens)


@dataclass(frozen=True, slots=True)
class Round:
    """What came of a round."""

    tokens_per_s: float
    """Of prompts and new tokens together."""
    busy: tuple[float, ...]
    """The share of its time in which each rank ran, and the launcher."""


class Launched:
    """A pipeline with each rank on a processor of its own."""

    def __init__(self, plan: Plan, stack: ExitStack) -> None:
        before = set(_children())
        self.pipeline = stack.enter_context(Pipeline(plan))
        self._ranks = sorted(set(_children()) - before)
        cores = sorted(os.sched_getaffinity(0))
        for index, rank in enumerate(self._ranks):
            for task in Path(f"/proc/{rank}/task").iterdir():
                os.sched_setaffinity(int(task.name), {cores[index % len(cores)]})

    def run(self, in_flight: int, load: Load) -> Round:
        """Generate for so many requests at once."""
        requests = [load.request(self.pipeline.plan.model.vocab) for _ in range(in_flight)]
        ran_s, begun_s = self._ran_s(), time.perf_counter()
        for _ in self.pipeline.generate(requests):
            pass
        seconds = time.perf_counter() - begun_s
        busy = [(now - then) / seconds for now, then in zip(self._ran_s(), ran_s, strict=True)]
        tokens = in_flight * (load.prompt_tokens + load.tokens)
        return Round(tokens / seconds, tuple(busy))

    def _ran_s(self) -> list[float]:
        """Return the processor time of each rank, and of this process."""
        ticks = [Path(f"/proc/{rank}/stat").read_text().rsplit(")", 1)[1] for rank in self._ranks]
        per_s = os.sysconf("SC_CLK_TCK")
        ranks = [sum(map(int, words.split()[11:13])) / per_s for words in ticks]
        return [*ranks, time.process_time()]


def main() -> None:
    """Launch every shape of each model, and print tokens/s for each number of requests."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--sizes", default="28M,125M")
    parser.add_argument("--type", default="float32")
    parser.add_argument("--in-flight", default="1,8,16", help="requests of one rank")
    parser.add_argument("--prompt", type=int, default=16, help="tokens of a prompt")
    parser.add_argument("--tokens", type=int, default=16, help="new tokens a request")
    parser.add_argument("--cut", type=int, help="layers of the first of two stages; half else")
    parser.add_argument("--rounds", type=int, default=3, help="after one to warm up")
    parser.add_argument("--folder", type=Path, help="where models are kept; a temporary one else")
    arguments = parser.parse_args()
    load = Load(arguments.prompt, arguments.tokens, arguments.rounds)
    print(f"{date.today()}, {machine()}, {arguments.type}")  # noqa: DTZ011
    print(f"tokens/s of prompts of {load.prompt_tokens} and {load.tokens} new tokens together\n")
    print(row(HEADINGS), row(["---"] * len(HEADINGS)), sep="\n", flush=True)
    with TemporaryDirectory() as temporary:
        folder = arguments.folder or Path(temporary)
        for size in arguments.sizes.split(","):
            layers = SIZES[size]["num_hidden_layers"]
            fields = {
                "path": make_llama(size, folder / size).resolve(),
                "dtype": arguments.type,
                "prompt": load.prompt_tokens,
                "layers": layers,
                "cut": arguments.cut or layers // 2,
            }
            with ExitStack() as stack:
                shapes = [Launched(plan_of(shape, fields), stack) for shape in HOSTS]
                for in_flight in map(int, arguments.in_flight.split(",")):
                    cells = cells_of(best_rounds(shapes, in_flight, load))
                    print(row([size, str(in_flight), *cells]), flush=True)


def plan_of(shape: str, fields: Mapping[str, object]) -> Plan:
    """Return the plan of a model in this shape."""
    text = (SPEC + HOSTS[shape]).format(shape=shape, **fields)
    return solve(parse_spec(text, Path(str(fields["path"]))))


def best_rounds(shapes: Sequence[Launched], in_flight: int, load: Load) -> list[Round]:
    """Return the best round of each shape, the first one left out."""
    found: list[list[Round]] = [[] for _ in shapes]
    for _ in range(load.rounds + 1):
        for rounds, shape, ranks in zip(found, shapes, (1, 2, 2), strict=True):
            rounds.append(shape.run(ranks * in_flight, load))
    return [max(rounds[1:], key=lambda one: one.tokens_per_s) for rounds in found]


def cells_of(rounds: Sequence[Round]) -> Iterator[str]:
    """Yield the cells of a row."""
    one = rounds[0].tokens_per_s
    for index, best in enumerate(rounds):
        yield f"{best.tokens_per_s:.0f}"
        if index:
            yield f"{best.tokens_per_s / (2 * one):.2f}"
        yield ", ".join(f"{share:.0%}" for share in best.busy)


def _children() -> list[int]:
    tasks = Path("/proc/self/task").iterdir()
    return [int(child) for task in tasks for child in (task / "children").read_text().split()]


if __name__ == "__main__":
    main()
