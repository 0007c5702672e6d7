"""Rounds of requests that launches of two cores serve, whose link is emulated.

A round serves the same arrivals in every way; those of one task over one link are compared.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from math import inf
from pathlib import Path
from statistics import fmean, quantiles
from tempfile import TemporaryDirectory
from threading import Event
from typing import Final

from interleave_machines import OPTIONS, fastest_or_most, in_words
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
FREE_SPEC: Final = """
version: 1
name: pair
model: {{path: {folder}, dtype: float32}}
workload: {{prompt_tokens: {{mean: 256, max: 512}}, output_tokens: {{mean: {output}, max: 64}},
  request_rate: {rate:.3g}/s}}
objective: {objective}
devices:
  core: {{kind: cpu, memory: 2GiB, memory_bandwidth: 10GB/s, compute: 80 GFLOP/s}}
hosts: [{{name: pc, site: desk, devices: 2 x core, nic: 10GB/s, {link}}}]
coordinator: {{site: desk, nic: 10GB/s}}
links:
  - {{within: desk, bandwidth: 10GB/s, latency: 20us}}
profiles: {profile}
limits: {{chunk_tokens: 512, time: 20s}}
techniques: {{interleave: auto}}
"""
"""The same cores as measured, which the planner may use as it likes for the rate."""
WAYS: Final = ("tp", "pp", "interleaved", "auto")
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
    stages: str = ""
    """Devices of the stages, and whether they interleave."""


def written(parent: Path) -> Path:
    """Write the model, and return its folder, after whose name profiles are for it."""
    folder = parent / "random-llama"
    folder.mkdir()
    write_llama(CONFIG, folder)
    return folder


def interconnect(link: str) -> str:
    """Return what a spec says of a link."""
    bandwidth, _, latency = link.partition(",")
    return f"interconnect: {{bandwidth: {bandwidth}, latency: {latency}}}"


def profiled(folder: Path, link: str) -> Path:
    """Measure the cores, alone and in a group over the link, and return the profile."""
    file = folder / "profile.yaml"
    command = [sys.executable, "-m", "hexplan", "profile", "--model", str(folder), "--on", "cpu"]
    command += ["--device", "core", "--tp", "2", "--dtype", "float32", "--memory", "2GiB"]
    command += ["--prompt-tokens", str(PROMPT), "--output-tokens", "4", "-o", str(file), "--quiet"]
    environment = {**os.environ, EMULATED_LINK: link}
    subprocess.run(command, check=True, env=environment)  # noqa: S603
    return file


def planned_for(folder: Path, rate: float, output: int, link: str, profile: Path) -> Plan:
    """Return the planner's choice for a rate; if no plan carries it, the one that serves most."""

    def plan_for(objective: str) -> Plan:
        text = FREE_SPEC.format(
            folder=folder,
            output=output,
            rate=rate,
            objective=objective,
            link=interconnect(link),
            profile=profile,
        )
        return solve(parse_spec(text, folder / "pair.yaml"), OPTIONS)

    return fastest_or_most(plan_for)


def plan_of(folder: Path, way: str, output: int, over: str = LINK) -> Plan:
    """Return the plan of two cores in one way, joined by the emulated link."""
    link = interconnect(over)
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


def play_round(
    task: str, link: str, profile: Path, capacity: float | None = None
) -> Iterator[Served]:
    """Launch each way in turn, and serve all at once and every load; `auto` has a plan for each.

    Parameters
    ----------
    profile
        What was measured of the cores over this link.
    capacity
        Requests that tp serves in a second, of which loads are shares; measured here if None.
    """
    output = TASKS[task]
    with TemporaryDirectory() as name, emulated(link):
        folder = written(Path(name))
        for way in WAYS[:-1]:
            plan = plan_of(folder, way, output, link)
            for one in serve(plan, folder, task, way, (inf, *LOADS), capacity):
                capacity = capacity or one.per_s
                yield replace(one, link=link)
        assert capacity is not None
        for load in LOADS:
            plan = planned_for(folder, load * capacity, output, link, profile)
            for one in serve(plan, folder, task, "auto", (load,), capacity):
                yield replace(one, link=link)


@contextmanager
def emulated(link: str) -> Iterator[None]:
    """Let launches emulate a link meanwhile."""
    os.environ[EMULATED_LINK] = link
    try:
        yield
    finally:
        del os.environ[EMULATED_LINK]


def serve(
    plan: Plan,
    folder: Path,
    task: str,
    way: str,
    loads: Sequence[float],
    capacity: float | None,
) -> Iterator[Served]:
    """Launch a plan, and serve requests at each load."""
    output = TASKS[task]
    with Pipeline(plan, folder) as pipeline:
        core = pipeline.core
        core.reuse_prefixes(is_wanted=False)
        replay(core, [0.0] * 8, output)
        for load in loads:
            rate = load * (capacity or inf)
            times_s, end_s = replay(core, arrivals_at(rate), output)
            per_s, tail_s = REQUESTS / end_s, quantiles(times_s, n=10)[-1]
            mean_s = fmean(times_s)
            yield Served(task, way, load, rate, mean_s, tail_s, per_s, stages=in_words(plan))
            capacity = capacity or per_s
