"""Print the simulator's table: published decode rates of published placements, and ours.

    python benchmarks/simulator.py [--only TEXT | --schedulers | --trace]

The output is Markdown; docs/simulation.md has such an output, with its machine and date.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "benchmarks")]

from planner import machine  # noqa: E402
from support.published_pipelines import (  # noqa: E402
    TRACE,
    Published,
    published_lengths,
    published_pipeline,
)

from hexplan_solver.simulate import (  # noqa: E402
    CHUNKED,
    WHOLE,
    Closed,
    Offline,
    Outcome,
    Poisson,
    Policy,
    Replay,
    Reservation,
    Traffic,
    Window,
    simulate,
)
from hexplan_solver.simulate.traces import read_trace  # noqa: E402

OFFLINE, ONLINE = Window(660.0, 60.0), Window(1800.0, 0.0)
UNCHECKED = replace(WHOLE, reservation=Reservation(240, 1.0, is_measured=True))
"""Without Helix's KV estimate, as its simulator runs the other methods."""
WAITING = replace(WHOLE, reservation=Reservation(144, 0.9, is_measured=True))
"""Helix's parameters for arrivals in time."""
MEAN_TOKENS = 763.08 + 232.45
KINDS = ("a100", "l4", "t4")


@dataclass(frozen=True)
class Part:
    """One pipeline, and what is sent through it."""

    placement: Published
    traffic: Traffic
    policy: Policy = WHOLE


@dataclass(frozen=True)
class Case:
    """Pipelines that run side by side, and the decode tokens/s that were published for them."""

    name: str
    published: float
    parts: tuple[Part, ...]
    window: Window = OFFLINE


def cases() -> list[Case]:
    """List what Helix's artifact states (its ae_readme.md), where the placement is known."""
    lengths = published_lengths()
    offline, single, geo = Offline(lengths), "helix-single24-llama70b", "helix-geo24-llama30b"

    def alone(spec: str, method: str, kind: str = "", *, is_even: bool = False) -> Published:
        return Published(spec, method, kind, is_even)

    def closed(*populations: int) -> list[Traffic]:
        return [Closed(lengths, population) for population in populations]

    def arriving(*tokens_per_s: float) -> list[Traffic]:
        return [Poisson(rate / MEAN_TOKENS, lengths) for rate in tokens_per_s]

    def each(spec: str, method: str, traffic: list[Traffic], policy: Policy) -> tuple[Part, ...]:
        pairs = zip(KINDS, traffic, strict=True)
        return tuple(Part(alone(spec, method, kind), load, policy) for kind, load in pairs)

    def parts30(traffic: list[Traffic], policy: Policy) -> tuple[Part, ...]:
        names = (f"helix-single24-{kind}-llama30b" for kind in KINDS)
        pairs = zip(names, traffic, strict=True)
        return tuple(Part(alone(name, "helix"), load, policy) for name, load in pairs)

    def swarm(spec: str, load: Traffic) -> tuple[Part, ...]:
        return (Part(alone(spec, "swarm", is_even=True), load, UNCHECKED),)

    three: list[Traffic] = [offline] * 3
    return [
        Case("single24 70B, Helix, offline", 252.1, (Part(alone(single, "helix"), offline),)),
        Case("single24 70B, chain of 24, offline", 220.5, (Part(alone(single, "chain"), offline),)),
        Case("single24 70B, SWARM, offline", 124.7, swarm(single, *closed(180))),
        Case(
            "single24 70B, separate, offline",
            124.3,
            each(single, "separate", closed(18, 40, 3), UNCHECKED),
        ),
        Case("single24 30B, Helix, offline", 339.6, parts30(three, WHOLE)),
        Case("geo24 30B, Helix, offline", 232.7, each(geo, "helix", three, WHOLE)),
        Case("geo24 30B, SWARM, offline", 98.7, swarm(geo, *closed(60))),
        Case(
            "geo24 30B, separate, offline",
            223.2,
            each(geo, "separate", closed(35, 40, 40), UNCHECKED),
        ),
        Case(
            "single24 70B, Helix, online",
            141.6,
            (Part(alone(single, "helix"), arriving(700)[0], WAITING),),
            ONLINE,
        ),
        Case("single24 70B, SWARM, online", 69.8, swarm(single, *arriving(350)), ONLINE),
        Case(
            "single24 70B, separate, online",
            84.0,
            each(single, "separate", arriving(240, 120, 10), UNCHECKED),
            ONLINE,
        ),
        Case(
            "single24 30B, Helix, online", 216.7, parts30(arriving(600, 200, 170), WAITING), ONLINE
        ),
        Case(
            "geo24 30B, Helix, online",
            183.5,
            each(geo, "helix", arriving(560, 140, 140), WAITING),
            ONLINE,
        ),
        Case("geo24 30B, SWARM, online", 82.1, swarm(geo, *arriving(380)), ONLINE),
        Case(
            "geo24 30B, separate, online",
            173.8,
            each(geo, "separate", arriving(520, 100, 140), UNCHECKED),
            ONLINE,
        ),
    ]


def run(case: Case) -> list[Outcome]:
    """Simulate every part of a case."""
    return [
        simulate(published_pipeline(part.placement), part.traffic, part.policy, case.window)
        for part in case.parts
    ]


def show_published(only: str) -> None:
    """Print the published figures beside ours."""
    print("| placement and traffic | published | simulated | difference | wall time |")
    print("|---|---|---|---|---|")
    for case in cases():
        if only not in case.name:
            continue
        start = time.monotonic()
        rate = sum(outcome.decode_tokens_per_s for outcome in run(case))
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
            outcome = simulate(pipeline, Offline(published_lengths()), policy, OFFLINE)
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
