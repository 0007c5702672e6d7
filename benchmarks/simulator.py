"""Print the simulator's table: published decode rates of published placements, and ours.

    python benchmarks/simulator.py [--only TEXT | --schedulers | --trace]

The output is Markdown; docs/simulation.md has such an output, with its machine and date.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import replace
from datetime import date
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "benchmarks")]

from planner import machine  # noqa: E402
from support.published_cases import CASES, OFFLINE  # noqa: E402
from support.published_pipelines import Published, published_pipeline  # noqa: E402
from support.published_traffic import TRACE, published_lengths  # noqa: E402

from hexplan_solver.simulate import (  # noqa: E402
    CHUNKED,
    WHOLE,
    Offline,
    Replay,
    Window,
    simulate,
)
from hexplan_solver.simulate.traces import read_trace  # noqa: E402


def show_published(only: str) -> None:
    """Print the published figures next to ours."""
    print("| placement and traffic | published | simulated | difference | wall time |")
    print("|---|---|---|---|---|")
    for case in CASES:
        if only not in case.name:
            continue
        start = time.monotonic()
        rate = case.decode_tokens_per_s()
        wall_s = time.monotonic() - start
        gap = rate / case.published - 1
        print(
            f"| {case.name} | {case.published:.1f} | {rate:.1f} | {gap:+.1%} | {wall_s:.1f} s |",
            flush=True,
        )


def show_schedulers() -> None:
    """Print what the scheduler changes on two placements, and the speed of the simulation."""
    chunks = replace(CHUNKED, reservation=WHOLE.reservation, chunk_tokens=256, routing="edges")
    policies = {
        "whole prompts, tokens sent one by one": WHOLE,
        "whole prompts, tokens of a batch sent together": replace(WHOLE, sends_singly=False),
        "the same, decodes first": replace(WHOLE, sends_singly=False, decodes_go_first=True),
        "chunks of 256, decodes first": chunks,
        "the same, tokens sent one by one": replace(chunks, sends_singly=True),
        "the same, batches gather for 10 ms": replace(chunks, sends_singly=True, delay_s=0.01),
    }
    print("| scheduling | Helix's placement | chain of 24 | simulated s per s |\n|---|---|---|---|")
    for name, policy in policies.items():
        rates, wall_s = [], 0.0
        for method in ("helix", "chain"):
            pipeline = published_pipeline(Published("helix-single24-llama70b", method))
            start = time.monotonic()
            traffic = Offline(published_lengths(), turns_away=True)
            outcome = simulate(pipeline, traffic, policy, OFFLINE)
            wall_s += time.monotonic() - start
            rates.append(outcome.decode_tokens_per_s)
        print(f"| {name} | {rates[0]:.0f} | {rates[1]:.0f} | {1320 / wall_s:.0f} |", flush=True)


def show_trace() -> None:
    """Print how long an hour of Azure's conversations takes to simulate."""
    pipeline = published_pipeline(Published("helix-single24-llama70b", "helix"))
    requests = read_trace(TRACE)
    start = time.monotonic()
    policy = replace(CHUNKED, routing="edges")
    outcome = simulate(pipeline, Replay(requests), policy, Window(requests[-1][0], 300.0))
    wall_s = time.monotonic() - start
    print(
        f"{outcome.arrived} requests in {requests[-1][0]:.0f} s: {outcome.finished} finished, "
        f"{outcome.output_tokens_per_s:.0f} tokens/s, simulated in {wall_s:.0f} s"
    )


def main() -> None:
    """Print the tables that were asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="cases whose name has this text")
    parser.add_argument("--schedulers", action="store_true", help="compare schedulers instead")
    parser.add_argument("--trace", action="store_true", help="replay the trace instead")
    arguments = parser.parse_args()
    print(f"{date.today()}, {machine()}\n")  # noqa: DTZ011
    if arguments.schedulers:
        show_schedulers()
    elif arguments.trace:
        show_trace()
    else:
        show_published(arguments.only)


if __name__ == "__main__":
    main()
