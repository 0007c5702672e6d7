"""Interleaving in a real launch: two ranks of one stage, whose link is emulated.

The link makes whoever waits for it sleep (`hexplan_runtime.net.emulated_link`), so that two ranks
compute on two cores meanwhile. Edges of the pipeline between two stages are not slowed down, which
favours pp.
"""

from __future__ import annotations

import os
import random
import time
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean, quantiles
from tempfile import TemporaryDirectory
from threading import Event
from typing import Final

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
    hidden_size=512,
    num_hidden_layers=4,
    num_attention_heads=8,
    num_key_value_heads=4,
    intermediate_size=1408,
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
workload: {{prompt_tokens: {{mean: 128, max: 256}}, output_tokens: {{mean: 1, max: 4}}}}
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
LOADS: Final = (0.2, 0.6, 0.9, 1.1, 1.3)
"""Of what tp serves."""
REQUESTS: Final = 60
ROUNDS: Final = 3
PROMPT: Final = 128
PATIENCE_S: Final = 100.0


def plan_of(folder: Path, way: str) -> Plan:
    """Return the plan of two cores in one way."""
    link = "interconnect: {bandwidth: 100MB/s, latency: 200us}"
    hosts = f"[{{name: desk, site: desk, devices: 2 x core, nic: 10GB/s, {link}}}]"
    pin = "[{same_stage: [desk/0, desk/1]}]"
    if way == "pp":
        each = "site: desk, devices: core, nic: 10GB/s"
        hosts = f"[{{name: a, {each}}}, {{name: b, {each}}}]"
        pin = "[{host: a, layers: [0, 2]}, {host: b, layers: [2, 4]}]"
    how = "on" if way == "interleaved" else "off"
    text = SPEC.format(folder=folder, hosts=hosts, pin=pin, interleave=how)
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


def replay(core: EngineCore, arrivals_s: list[float]) -> list[float]:
    """Return how long each request took from its arrival."""
    heard = [_Heard() for _ in arrivals_s]
    begun_s = time.monotonic()
    for number, (at_s, one) in enumerate(zip(arrivals_s, heard, strict=True)):
        time.sleep(max(0.0, begun_s + at_s - time.monotonic()))
        ids = tuple((7 * number + 3 * n) % 2000 + 1 for n in range(PROMPT))
        core.submit_all([(Request(ids, 1), one.take)])
    for one in heard:
        if not one.is_over.wait(PATIENCE_S):
            message = f"a request was not over within {PATIENCE_S:g} s"
            raise TimeoutError(message)
    return [one.end_s - begun_s - at_s for one, at_s in zip(heard, arrivals_s, strict=True)]


def most_per_s(core: EngineCore) -> float:
    """Return how many requests a second are served if all come at once; the best of all rounds."""
    return max(REQUESTS / max(replay(core, [0.0] * REQUESTS)) for _ in range(ROUNDS))


def launched_section() -> str:
    """Launch each way in turn, and return the tables in Markdown."""
    os.environ[EMULATED_LINK] = LINK
    with TemporaryDirectory() as name:
        folder = Path(name)
        write_llama(CONFIG, folder)
        plans = {way: plan_of(folder, way) for way in WAYS}
        most: dict[str, float] = {}
        times: dict[tuple[float, str], list[float]] = {}
        for way, plan in plans.items():
            with Pipeline(plan, folder) as pipeline:
                core = pipeline.core
                core.reuse_prefixes(is_wanted=False)
                replay(core, [0.0] * 8)
                most[way] = most_per_s(core)
                for load in LOADS:
                    generator = random.Random(7)  # noqa: S311
                    gaps = [generator.expovariate(load * most["tp"]) for _ in range(REQUESTS)]
                    arrivals_s = [sum(gaps[: n + 1]) for n in range(REQUESTS)]
                    rounds = [replay(core, arrivals_s) for _ in range(ROUNDS)]
                    times[load, way] = sorted(rounds, key=fmean)[ROUNDS // 2]
        del os.environ[EMULATED_LINK]
    how = plans["interleaved"].stages[0].interleave
    assert how is not None
    lines = [
        f"Link {LINK}, steps are interleaved from {how.from_tokens} tokens on. All at once:"
        f" {', '.join(f'{way} {most[way]:.1f}' for way in WAYS)} requests/s.\n",
        "| load | mean ms, tp / pp / interleaved | P90 ms, tp / pp / interleaved |",
        "|---|---|---|",
    ]
    for load in LOADS:
        found = [times[load, way] for way in WAYS]
        means = " / ".join(f"{1000 * fmean(one):.0f}" for one in found)
        tails = " / ".join(f"{1000 * quantiles(one, n=10)[-1]:.0f}" for one in found)
        lines.append(f"| {load} | {means} | {tails} |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(launched_section())
