"""Print the table of launched shapes: one stage, two stages and two ranks that share each layer.

    python benchmarks/launched.py [--sizes 28M,125M] [--in-flight 1,8,16] [--folder FOLDER]

Each rank is a process of one thread on a processor of its own, and the launcher takes what they
leave. A number of requests is always under way: whenever one ends, another comes. All shapes run at
the same time but have load in turn, and the best of their turns counts.

Two ranks get twice as many requests as one, so that their steps have as many rows. `of two alone`
is the rate over twice that of one stage. `busy` are the shares of the time in which each rank ran,
and the launcher: these share two processors. As in `served.py`, the clock stands still while ranks
wait for a processor; for two stages in the mean of both, which work side by side. No rank has run
for longer than the clock.
"""

from __future__ import annotations

import argparse
import os
import random
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from queue import Empty, SimpleQueue
from tempfile import TemporaryDirectory
from typing import Final

import torch
from planner import machine, row
from random_llamas import SIZES, make_llama
from served_load import Clock

from hexplan.plan import Plan
from hexplan.reading import parse_spec
from hexplan_runtime.engine.outcomes import Failed
from hexplan_runtime.launch.pipeline import Pipeline
from hexplan_runtime.request import Request, TokenEvent
from hexplan_solver import solve

SPEC: Final = """
version: 1
name: {shape}
model: {{path: {path}, dtype: {dtype}}}
workload:
  prompt_tokens: {{mean: {prompt}, max: 1024}}
  output_tokens: {{mean: 32, max: 128}}
limits: {{chunk_tokens: {chunk}}}
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


PATIENCE_S: Final = 120.0
HEADINGS: Final = (
    *("model", "in flight", "one", "busy", "two", "of two alone", "busy"),
    *("tp2", "of two alone", "busy"),
)


@dataclass(frozen=True, slots=True)
class Load:
    """What requests are, and for how long they come."""

    prompt_tokens: int
    """In the mean; one request has from half to one and a half times as many."""
    tokens: int
    """New ones, likewise."""
    seconds: float
    """How long a turn is, after a third of it to warm up."""

    def request(self, vocab: int) -> Request:
        """Return a request with a random prompt."""
        prompt, tokens = (
            max(1, random.randint(mean - mean // 2, mean + mean // 2))  # noqa: S311
            for mean in (self.prompt_tokens, self.tokens)
        )
        return Request(tuple(torch.randint(0, vocab, (prompt,)).tolist()), tokens)


@dataclass(frozen=True, slots=True)
class Turn:
    """What came of a turn."""

    tokens_per_s: float
    """Of prompts and new tokens together."""
    busy: tuple[float, ...]
    """The share of its time in which each rank ran, and the launcher."""


class Users:
    """As many requests as are always under way, and what has come of them."""

    def __init__(self, pipeline: Pipeline, load: Load) -> None:
        self._pipeline, self._load = pipeline, load
        self._ended: SimpleQueue[None] = SimpleQueue()
        self.tokens = 0
        """Of prompts whose first new token has come, and new ones."""

    def run_until(self, end_s: float) -> None:
        """Send a request whenever one ends."""
        while (left_s := end_s - time.perf_counter()) > 0:
            with suppress(Empty):
                self._ended.get(timeout=left_s)
                self.begin()

    def end(self, in_flight: int) -> None:
        """Wait for the requests that are under way."""
        for _ in range(in_flight):
            self._ended.get(timeout=PATIENCE_S)

    def begin(self) -> None:
        """Send a request."""
        request = self._load.request(self._pipeline.plan.model.vocab)
        waiting = [len(request.prompt_ids)]

        def take(event: TokenEvent | Failed) -> None:
            assert isinstance(event, TokenEvent)
            self.tokens += 1 + (waiting.pop() if waiting else 0)
            if event.is_last:
                self._ended.put(None)

        self._pipeline.core.submit(request, take)


class Launched:
    """A pipeline with each rank on a processor of its own."""

    def __init__(self, plan: Plan, stack: ExitStack) -> None:
        self._pipeline = stack.enter_context(Pipeline(plan))
        self._ranks = self._pipeline.pids
        self._clock = Clock(self._ranks, ways=len(plan.stages))
        cores = sorted(os.sched_getaffinity(0))
        for index, rank in enumerate(self._ranks):
            for task in Path(f"/proc/{rank}/task").iterdir():
                os.sched_setaffinity(int(task.name), {cores[index % len(cores)]})

    def run(self, in_flight: int, load: Load) -> Turn:
        """Keep so many requests under way for a turn."""
        users = Users(self._pipeline, load)
        for _ in range(in_flight):
            users.begin()
        users.run_until(time.perf_counter() + load.seconds / 3)
        before, ran_s, begun_s = users.tokens, self._ran_s(), self._clock.now_s()
        users.run_until(time.perf_counter() + load.seconds)
        ran = [now - then for now, then in zip(self._ran_s(), ran_s, strict=True)]
        seconds = max(self._clock.now_s() - begun_s, *ran)
        busy = [one / seconds for one in ran]
        found = Turn((users.tokens - before) / seconds, tuple(busy))
        users.end(in_flight)
        return found

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
    parser.add_argument("--chunk", type=int, default=512, help="the most tokens of a step")
    parser.add_argument("--cut", type=int, help="layers of the first of two stages; half else")
    parser.add_argument("--seconds", type=float, default=6.0, help="of a turn")
    parser.add_argument("--turns", type=int, default=2, help="of each shape; the best counts")
    parser.add_argument("--folder", type=Path, help="where models are kept; a temporary one else")
    arguments = parser.parse_args()
    load = Load(arguments.prompt, arguments.tokens, arguments.seconds)
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
                "chunk": arguments.chunk,
                "layers": layers,
                "cut": arguments.cut or layers // 2,
            }
            with ExitStack() as stack:
                shapes = [Launched(plan_of(shape, fields), stack) for shape in HOSTS]
                for in_flight in map(int, arguments.in_flight.split(",")):
                    cells = cells_of(best_turns(shapes, arguments.turns, in_flight, load))
                    print(row([size, str(in_flight), *cells]), flush=True)


def plan_of(shape: str, fields: Mapping[str, object]) -> Plan:
    """Return the plan of a model in this shape."""
    text = (SPEC + HOSTS[shape]).format(shape=shape, **fields)
    return solve(parse_spec(text, Path(str(fields["path"]))))


def best_turns(shapes: Sequence[Launched], turns: int, in_flight: int, load: Load) -> list[Turn]:
    """Return the best turn of each shape."""
    found: list[list[Turn]] = [[] for _ in shapes]
    for _ in range(turns):
        for mine, shape, ranks in zip(found, shapes, (1, 2, 2), strict=True):
            mine.append(shape.run(ranks * in_flight, load))
    return [max(mine, key=lambda turn: turn.tokens_per_s) for mine in found]


def cells_of(turns: Sequence[Turn]) -> Iterator[str]:
    """Yield the cells of a row."""
    one = turns[0].tokens_per_s
    for index, best in enumerate(turns):
        yield f"{best.tokens_per_s:.0f}"
        if index:
            yield f"{best.tokens_per_s / (2 * one):.2f}"
        yield ", ".join(f"{share:.0%}" for share in best.busy)


if __name__ == "__main__":
    main()
