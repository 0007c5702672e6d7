"""Compare the shares of routes and edges that a server observes with those that its plan gives.

    python benchmarks/serve_shares.py [--requests 20000]

The plan is a real one: a stage that two unequal stages share, so that its routes have unequal
weights. All requests go over HTTP through the engine's own routing, each with a prompt of one token
and one new token; the figures are those of /metrics. Exits with 1 if a share of a route is more
than 1 % of all requests away from its weight, or one of an edge from the plan's flow.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from planner import row
from prometheus_client.parser import text_string_to_metric_families
from serve_client import Client
from serve_process import AUSTEN, ServerProcess, serving

from hexplan.plan import Plan
from hexplan.reading import parse_spec
from hexplan_solver import SolveOptions, solve

EACH: Final = 128
"""Choices of one HTTP request, each a request of its own to the engine."""
AT_ONCE: Final = 2
"""HTTP requests under way."""
MOST_OFF: Final = 0.01
SPEC: Final = """
version: 1
name: shared-first-stage
model: {{path: {path}, dtype: float32}}
objective: throughput
workload:
  prompt_tokens: {{mean: 16, max: 128}}
  output_tokens: {{mean: 16, max: 128}}
devices:
  fast: {{kind: cpu, memory: 64MiB, memory_bandwidth: 40GB/s, compute: 200 GFLOP/s}}
  middle: {{kind: cpu, memory: 64MiB, memory_bandwidth: 11GB/s, compute: 53 GFLOP/s}}
  slow: {{kind: cpu, memory: 64MiB, memory_bandwidth: 5GB/s, compute: 24 GFLOP/s}}
hosts:
  - {{name: front, site: desk, devices: fast, nic: 1GB/s}}
  - {{name: left, site: desk, devices: middle, nic: 1GB/s}}
  - {{name: right, site: desk, devices: slow, nic: 1GB/s}}
coordinator: {{site: desk, nic: 1GB/s}}
links:
  - {{within: desk, bandwidth: 1GB/s, latency: 100us}}
pin:
  - {{host: front, layers: [0, 3]}}
  - {{host: left, layers: [3, 6]}}
  - {{host: right, layers: [3, 6]}}
"""


def main() -> None:
    """Serve, ask, and compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=20_000)
    requests = parser.parse_args().requests
    plan = solve(parse_spec(SPEC.format(path=AUSTEN), AUSTEN), SolveOptions(time_limit_s=10.0))
    with (
        TemporaryDirectory() as folder,
        serving(plan, Path(folder), "--no-access-log", "--max-waiting", "1024") as server,
    ):
        server.wait_until_idle()
        before = _observed(server)
        asyncio.run(ask_all(server, requests))
        server.wait_until_idle()
        after = _observed(server)
    counts = {key: after[key] - before.get(key, 0.0) for key in after}
    print(row(("route or edge", "requests or tokens", "planned", "observed", "off")))
    print(row(["---"] * 5))
    worst = max(_compared(plan, counts))
    print(f"\n{requests:,} requests, the worst share is {100 * worst:.3f} % off")
    sys.exit(0 if worst <= MOST_OFF else 1)


async def ask_all(server: ServerProcess, requests: int) -> None:
    """Send all requests, some hundreds at once."""
    client, left = Client(server.url), iter(range(0, requests, EACH))

    async def ask() -> None:
        for first in left:
            prompts = [[5 + i % 1000] for i in range(first, min(first + EACH, requests))]
            body: dict[str, Any] = {"prompt": prompts, "max_tokens": 1, "logprobs": None}
            answer = await client.complete(body)
            if answer.usage != len(prompts):
                sys.exit(f"asked for {len(prompts)} tokens, got {answer}")

    await asyncio.gather(*(ask() for _ in range(AT_ONCE)))


def _observed(server: ServerProcess) -> dict[tuple[str, ...], float]:
    """Return the counters of /metrics by their labels: of each route, and of each edge."""
    names = ("hexplan_route_requests", "hexplan_edge_tokens")
    return {
        tuple(sample.labels.values()): sample.value
        for family in text_string_to_metric_families(server.get("/metrics"))
        if family.name in names
        for sample in family.samples
    }


def _compared(plan: Plan, counts: dict[tuple[str, ...], float]) -> Iterator[float]:
    """Print a row for each route and edge, and yield how far its share is from the plan's."""
    total = sum(counts[str(index),] for index in range(len(plan.routes)))
    for index, route in enumerate(plan.routes):
        name = " > ".join(hop.stage for hop in route.hops)
        yield _print_row(name, counts[str(index),], float(route.weight), total)
    flow = float(sum(edge.tokens_per_s for edge in plan.edges if edge.source == "entry"))
    entered = sum(counts[e.source, e.target] for e in plan.edges if e.source == "entry")
    for edge in plan.edges:
        name, tokens = f"{edge.source} -> {edge.target}", counts[edge.source, edge.target]
        yield _print_row(name, tokens, float(edge.tokens_per_s) / flow, entered)


def _print_row(name: str, count: float, planned: float, total: float) -> float:
    off = abs(count / total - planned)
    cells = (f"{count:,.0f}", *(f"{100 * s:.3f} %" for s in (planned, count / total, off)))
    print(row((name, *cells)))
    return off


if __name__ == "__main__":
    main()
