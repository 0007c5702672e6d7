"""Interleaving in a real launch: two ranks of one stage, whose link is emulated.

    python benchmarks/interleave_launch.py [TASK] [--link LINK] [--keep FILE] [--show]

The link makes whoever waits for it sleep (`hexplan_runtime.net.emulated_link`), so that two ranks
compute on two cores meanwhile. The edge of the pipeline between two stages is not slowed down,
which favours pp: a prompt's activations would take 11 ms over this link.

A round serves the same arrivals in every way. `--keep` adds it to a file, from which `--show`
prints the median of all rounds: so a machine that others wait for can be used in turns.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import date
from math import inf
from pathlib import Path
from statistics import fmean, median, quantiles
from tempfile import TemporaryDirectory
from threading import Event
from typing import Final

from planner import machine
from random_llamas import write_llama
from transformers import LlamaConfig

from hexplan.plan import Plan
from hexplan.reading import parse_spec
from hexplan_runtime.engine.core import EngineCore
from hexplan_runtime.engine.outcomes import Failed
from hexplan_runtime.launch.pipeline import Pipeline
from hexplan_runtime.net.emulated_link import EMULATED_LINK
from hexplan_runtime.request import Request, TokenEvent
from hexplan_solver import SolveOptions, solve

LINK: Final = "100MB/s,200us"
CONFIG: Final = LlamaConfig(
    hidden_size=1024,
    num_hidden_layers=4,
    num_attention_heads=16,
    num_key_value_heads=8,
    intermediate_size=2816,
    vocab_size=2048,
    max_position_embeddings=2048,
    bos_token_id=None,
    eos_token_id=None,
    dtype="float32",
)
SPEC: Final = """
version: 1
name: pair
model: {{path: {folder}, dtype: float32}}
workload: {{prompt_tokens: {{mean: 256, max: 512}}, output_tokens: {{mean: {output}, max: 64}}}}
devices:
  core: {{kind: cpu, memory: 2GiB, memory_bandwidth: 10GB/s, compute: 80 GFLOP/s}}
hosts: {hosts}
coordinator: {{site: desk, nic: 10GB/s}}
links:
  - {{within: desk, bandwidth: 10GB/s, latency: 20us}}
pin: {pin}
limits: {{chunk_tokens: 512, time: 2s}}
techniques: {{interleave: {interleave}, slowdown: 1.1}}
"""
WAYS: Final = ("tp", "pp", "interleaved")
TASKS: Final = {"discriminative": 1, "generative": 8}
"""Tokens of each answer."""
LOADS: Final = (0.3, 0.6, 0.9, 1.1, 1.4)
"""Of what tp serves."""
REQUESTS: Final = 24
PROMPT: Final = 256
PATIENCE_S: Final = 100.0


@dataclass(frozen=True, slots=True)
class Served:
    """How one way fared in a round at one load."""

    task: str
    way: str
    load: float
    """Share of what tp serves that came; infinite where all requests came at once."""
    rate: float
    """Requests that came in a second."""
    mean_s: float
    p90_s: float
    per_s: float
    """Requests that ended in a second, from the first arrival to the last end."""
    link: str = LINK


def plan_of(folder: Path, way: str, output: int, over: str = LINK) -> Plan:
    """Return the plan of two cores in one way, joined by the emulated link."""
    bandwidth, _, latency = over.partition(",")
    link = f"interconnect: {{bandwidth: {bandwidth}, latency: {latency}}}"
    hosts = f"[{{name: pc, site: desk, devices: 2 x core, nic: 10GB/s, {link}}}]"
    pin = "[{same_stage: [pc/0, pc/1]}]"
    if way == "pp":
        each = "site: desk, devices: core, nic: 10GB/s"
        hosts = f"[{{name: a, {each}}}, {{name: b, {each}}}]"
        pin = "[{host: a, layers: [0, 2]}, {host: b, layers: [2, 4]}]"
    how = "on" if way == "interleaved" else "off"
    text = SPEC.format(folder=folder, hosts=hosts, pin=pin, interleave=how, output=output)
    return solve(parse_spec(text, folder / "pair.yaml"), SolveOptions(effort_s=5))


@dataclass(slots=True)
class _Heard:
    """When a request was over."""

    end_s: float = 0.0
    is_over: Event = field(default_factory=Event)

    def take(self, event: TokenEvent | Failed) -> None:
        assert isinstance(event, TokenEvent), event
        if event.is_last:
            self.end_s = time.monotonic()
            self.is_over.set()


def replay(core: EngineCore, arrivals_s: Sequence[float], output: int) -> tuple[list[float], float]:
    """Return how long each request took from its arrival, and when the last one was over."""
    heard = [_Heard() for _ in arrivals_s]
    begun_s = time.monotonic()
    for number, (at_s, one) in enumerate(zip(arrivals_s, heard, strict=True)):
        time.sleep(max(0.0, begun_s + at_s - time.monotonic()))
        ids = tuple((7 * number + 3 * n) % 2000 + 1 for n in range(PROMPT))
        core.submit_all([(Request(ids, output), one.take)])
    for one in heard:
        if not one.is_over.wait(PATIENCE_S):
            message = f"a request was not over within {PATIENCE_S:g} s"
            raise TimeoutError(message)
    times_s = [one.end_s - begun_s - at_s for one, at_s in zip(heard, arrivals_s, strict=True)]
    return times_s, max(one.end_s for one in heard) - begun_s


def arrivals_at(rate: float) -> list[float]:
    """Return when requests come, the same ones for every way."""
    generator = random.Random(7)  # noqa: S311
    at_s, found = 0.0, []
    for _ in range(REQUESTS):
        at_s += generator.expovariate(rate)
        found.append(at_s)
    return found


def play_round(task: str, link: str = LINK, capacity: float | None = None) -> list[Served]:
    """Launch each way in turn, and serve all at once and every load.

    Parameters
    ----------
    capacity
        Requests that tp serves in a second, of which loads are shares; measured here if None.
    """
    os.environ[EMULATED_LINK] = link
    output, found = TASKS[task], []
    with TemporaryDirectory() as name:
        folder = Path(name)
        write_llama(CONFIG, folder)
        for way in WAYS:
            with Pipeline(plan_of(folder, way, output, link), folder) as pipeline:
                core = pipeline.core
                core.reuse_prefixes(is_wanted=False)
                replay(core, [0.0] * 8, output)
                for load in (inf, *LOADS):
                    rate = load * (capacity or inf)
                    times_s, end_s = replay(core, arrivals_at(rate), output)
                    per_s, tail_s = REQUESTS / end_s, quantiles(times_s, n=10)[-1]
                    found.append(Served(task, way, load, rate, fmean(times_s), tail_s, per_s, link))
                    capacity = capacity or per_s
    del os.environ[EMULATED_LINK]
    return found


def tables(rounds: Sequence[Served]) -> str:
    """Return what was measured in Markdown, medians of all rounds."""
    return "\n\n".join(
        _table([one for one in rounds if (one.task, one.link) == kind])
        for kind in dict.fromkeys((one.task, one.link) for one in rounds)
    )


def _table(rounds: Sequence[Served]) -> str:
    task, link = rounds[0].task, rounds[0].link

    def middle(way: str, load: float) -> tuple[float, float, float]:
        chosen = [one for one in rounds if (one.way, one.load) == (way, load)]
        columns = zip(*((one.mean_s, one.p90_s, one.per_s) for one in chosen), strict=True)
        mean_s, p90_s, per_s = map(median, columns)
        return mean_s, p90_s, per_s

    most = ", ".join(f"{way} {middle(way, inf)[2]:.1f}" for way in WAYS)
    count = sum((one.way, one.load) == ("tp", inf) for one in rounds)
    counted = "1 round" if count == 1 else f"{count} rounds"
    lines = [
        f"#### {task}, {PROMPT} + {TASKS[task]} tokens, link {link}\n",
        f"Medians of {counted} of {REQUESTS} requests. All at once: {most} requests/s.\n",
        "| load | requests/s | mean ms, tp / pp / interleaved | P90 ms | served/s"
        " | mean over tp | over pp |",
        "|---|---|---|---|---|---|---|",
    ]
    for load in LOADS:
        rate = next(one.rate for one in rounds if one.load == load)
        found = [middle(way, load) for way in WAYS]
        tensor_s, pipeline_s, lanes_s = (mean_s for mean_s, _, _ in found)
        means = " / ".join(f"{1000 * mean_s:.0f}" for mean_s, _, _ in found)
        tails = " / ".join(f"{1000 * p90_s:.0f}" for _, p90_s, _ in found)
        served = " / ".join(f"{per_s:.1f}" for _, _, per_s in found)
        lines.append(
            f"| {load} | {rate:.1f} | {means} | {tails} | {served}"
            f" | {lanes_s / tensor_s:.2f} | {lanes_s / pipeline_s:.2f} |"
        )
    return "\n".join(lines)


def read_rounds(file: Path) -> list[Served]:
    """Return the rounds that were kept."""
    lines = file.read_text().splitlines() if file.exists() else []
    return [Served(**json.loads(line)) for line in lines]


def launched_section() -> str:
    """Play a round of each task, and return the tables in Markdown."""
    return tables([one for task in TASKS for one in play_round(task)])


def main() -> None:
    """Play one round of a task, or show all rounds."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("task", choices=TASKS, nargs="?", default="discriminative")
    parser.add_argument("--link", default=LINK, help="what to emulate, such as 200MB/s,100us")
    parser.add_argument("--keep", type=Path, metavar="FILE", help="add the round to this file")
    parser.add_argument("--show", action="store_true", help="only show the file's rounds")
    arguments = parser.parse_args()
    kept = read_rounds(arguments.keep) if arguments.keep else []
    if not arguments.show:
        like = [o for o in kept if (o.task, o.link) == (arguments.task, arguments.link)]
        first = (one.rate / one.load for one in like if one.load < inf)
        played = play_round(arguments.task, arguments.link, next(first, None))
        kept += played
        if arguments.keep:
            with arguments.keep.open("a") as file:
                file.writelines(f"{json.dumps(asdict(one))}\n" for one in played)
    print(f"{machine()}, {date.today()}, `python benchmarks/interleave_launch.py`\n")
    print(tables(kept))


if __name__ == "__main__":
    main()
