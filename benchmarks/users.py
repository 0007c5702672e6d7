"""Print the table "Users of one launched plan" of docs/benchmarks.md.

    python benchmarks/users.py [--stages N] [--tokens N] [--rounds N]

So many users start at once, on a plan of one stage or of two. Each stage is a process, and so is
the launcher: with two stages on two processors they take turns, which no simulation knows. The time
between two tokens is measured in a launch and predicted by the simulator, whose step times are
corrected by an earlier launch (`hexplan calibrate`). Read the shape, not the milliseconds.
"""

from __future__ import annotations

import argparse
import time
from collections import defaultdict
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from statistics import fmean, median
from tempfile import TemporaryDirectory

import torch
from planner import machine

from hexplan.measured.calibration.calibrate import calibrate
from hexplan.measured.observation_file import ObservationFile
from hexplan.measured.observations import read_observations
from hexplan.measured.overlay_file import write_corrections
from hexplan.plan import Plan
from hexplan.reading import parse_spec
from hexplan_runtime.launch.pipeline import Pipeline
from hexplan_runtime.request import Request
from hexplan_solver import SolveOptions, solve
from hexplan_solver.simulate import Replay, Window, pipeline_of_plan, policy_of_plan, simulate

ROOT = Path(__file__).parents[1]
USERS = (1, 2, 4, 8, 16, 32)
PROMPT_TOKENS = 32
SPEC = """
version: 1
name: two-processors
model: {path: models/austen-3m, dtype: float32}
workload: {prompt_tokens: 32, output_tokens: 96}
objective: throughput
devices:
  processor: {kind: cpu, memory: 64MiB, memory_bandwidth: 10GB/s, compute: 50 GFLOP/s}
coordinator: {site: here, nic: 2GB/s}
links: [{within: here, bandwidth: 2GB/s, latency: 100us}]
"""
HOSTS = {
    1: "hosts: [{name: h0, site: here, devices: processor, nic: 2GB/s}]\n",
    2: 'hosts: [{name: "h[0-1]", site: here, devices: processor, nic: 2GB/s}]\n'
    "pin: [{host: h0, layers: [0, 3]}, {host: h1, layers: [3, 6]}]\n",
}


def main() -> None:
    """Calibrate a plan on this machine, then measure and simulate it for each number of users."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stages", type=int, choices=HOSTS, default=1)
    parser.add_argument("--tokens", type=int, default=96)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    plan = calibrated_plan(SPEC + HOSTS[arguments.stages], arguments.tokens)
    stages = ", ".join(f"{stage.layers[0]}-{stage.layers[1]}" for stage in plan.stages)
    today = datetime.now(UTC).date().isoformat()
    print(f"{today}, {machine()}; layers {stages}, {arguments.tokens} tokens a request\n")
    print("| users | launched, ms | simulated, ms | launched, over one user | simulated |")
    print("|---|---|---|---|---|")
    first: list[float] = []
    with Pipeline(plan) as pipeline:
        for users in USERS:
            launch = partial(launched_s, pipeline, users, arguments.tokens)
            launch()  # to warm up
            measured = median(launch() for _ in range(arguments.rounds))
            pair = measured, simulated_s(plan, users, arguments.tokens)
            first = first or list(pair)
            times = " | ".join(f"{1000 * seconds:.2f}" for seconds in pair)
            shape = " | ".join(f"{s / one:.2f}" for s, one in zip(pair, first, strict=True))
            print(f"| {users} | {times} | {shape} |", flush=True)


def calibrated_plan(text: str, tokens: int) -> Plan:
    """Return a plan whose step times are corrected by those of a launch of the same plan."""
    with TemporaryDirectory() as folder:
        spec = parse_spec(text, ROOT / "cluster.yaml")
        plan = solve(spec, SolveOptions(time_limit_s=10))
        observed, overlay = Path(folder) / "observed.jsonl", Path(folder) / "overlay.yaml"
        with ObservationFile(observed, plan) as file, Pipeline(plan, observe=file) as pipeline:
            for users in USERS:
                launched_s(pipeline, users, tokens)
        found = calibrate(plan, read_observations(observed, plan), "1970-01-01")
        write_corrections(found, "a launch on this machine", overlay)
        corrected = parse_spec(f"{text}overlays: [{overlay}]\n", ROOT / "cluster.yaml")
        return solve(corrected, SolveOptions(time_limit_s=10))


def launched_s(pipeline: Pipeline, users: int, tokens: int) -> float:
    """Return the mean seconds between two tokens of users who start at once."""
    vocab = pipeline.plan.model.vocab
    prompts = torch.randint(2, vocab, (users, PROMPT_TOKENS)).tolist()
    requests = [Request(tuple(prompt), tokens) for prompt in prompts]
    seen: dict[int, list[float]] = defaultdict(list)
    for event in pipeline.generate(requests):
        seen[event.request_index].append(time.monotonic())
    return fmean((s[-1] - s[0]) / (len(s) - 1) for s in seen.values())


def simulated_s(plan: Plan, users: int, tokens: int) -> float:
    """Return the same of the simulator."""
    traffic = Replay(((0.0, PROMPT_TOKENS, tokens),) * users)
    window = Window(None, 0.0)
    outcome = simulate(pipeline_of_plan(plan), traffic, policy_of_plan(plan), window)
    assert outcome.tpot is not None
    return outcome.tpot.mean_s


if __name__ == "__main__":
    main()
