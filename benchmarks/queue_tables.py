"""Queues on traces with bursts and heavy tails, simulated and launched at equal memory."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Final

import numpy as np
from planner import machine, row
from queue_launch import Launched, launched_plan
from queue_traces import Lognormal, Shape, at_rate

from hexplan.plan import Plan
from hexplan.reading import parse_spec
from hexplan.schedule.queueing.work import Work
from hexplan.techniques import QueueName
from hexplan_solver import SolveOptions, solve
from hexplan_solver.simulate import Replay, Window, pipeline_of_plan, policy_of_plan
from hexplan_solver.simulate.queueing.queued_simulation import QueuedSimulation
from hexplan_solver.simulate.queueing.work import work_of
from hexplan_solver.simulate.simulation import Simulation
from hexplan_solver.simulate.traffic import Arrival

QUEUES: Final[tuple[QueueName, ...]] = ("fcfs", "mlfq", "fair", "srpt")
LOADS: Final = (0.7, 0.9, 1.1)
LAUNCHED_REQUESTS: Final = 160
FULL: Final = 1.2
"""Load of the launch: few requests need much of it to wait for each other."""
SPEC: Final = """
version: 1
name: one-a100
model: {name: llama-2-13b, dtype: float16}
workload: {prompt_tokens: {mean: 230, max: 1024}, output_tokens: {mean: 140, max: 1024}}
objective: throughput
hosts: [{name: node, site: lab, devices: A100-40GB-SXM, nic: 25Gbps}]
coordinator: {site: lab, nic: 25Gbps}
links: [{within: lab, bandwidth: 25Gbps, latency: 0.1ms}]
"""
"""As in FastServe's artifact, but for the model: 13B parameters on one A100."""
LONG: Final = Shape(Lognormal(5.0, 1.0, 8, 1024), Lognormal(4.2, 1.3, 1, 1024))
SHORT: Final = Shape(Lognormal(3.0, 0.7, 4, 96), Lognormal(2.3, 1.6, 1, 240))
PUBLISHED: Final = (
    "Published (FastServe, arXiv 2305.05920, abstract of version 1; measured on A100s against Orca,"
    " which serves at most 16 requests at once there): up to 5.1 times shorter mean and 6.4 times"
    " shorter tail completion times."
)
HEAD: Final = (
    "JCT mean",
    "JCT p99",
    "TTFT mean",
    "TTFT p99",
    "slowdown mean",
    "slowdown max",
    "swaps",
    "JCT of the quiet client",
)


@dataclass(frozen=True, slots=True)
class Seen:
    """What became of each request, in the order of arrival."""

    first_s: list[float]
    last_s: list[float]
    swaps: int


def clients_of(trace: tuple[Arrival, ...]) -> tuple[str, ...]:
    """Return who sends each request: one client four in five, another one the rest."""
    return tuple("quiet" if n % 5 == 0 else "loud" for n in range(len(trace)))


def simulated(plan: Plan, trace: tuple[Arrival, ...], queue: QueueName) -> Seen:
    """Simulate a plan with a queue."""
    policy = replace(policy_of_plan(plan), queue=queue)
    kind = Simulation if queue == "fcfs" else QueuedSimulation
    traffic = Replay(trace, clients=clients_of(trace))
    recorder = kind(pipeline_of_plan(plan), traffic, policy, Window(None, 0.0)).run()
    at = {arrival_s: number for number, (arrival_s, *_) in enumerate(trace)}
    order = sorted(range(len(trace)), key=lambda n: at[recorder.arrival_s[n]])
    return Seen(
        [recorder.first_s[n] for n in order], [recorder.last_s[n] for n in order], recorder.swaps
    )


def capacity(plan: Plan, trace: tuple[Arrival, ...]) -> float:
    """Return the requests/s that a plan serves when all come at once, first come, first served."""
    at_once = tuple((n * 1e-6, prompt, output) for n, (_, prompt, output) in enumerate(trace))
    return len(trace) / max(simulated(plan, at_once, "fcfs").last_s)


def cells(trace: tuple[Arrival, ...], seen: Seen, work: Work) -> list[str]:
    """Return the cells of a row, after its name."""
    arrival, first, last = (np.array(x) for x in ([t[0] for t in trace], seen.first_s, seen.last_s))
    stays, waits = last - arrival, first - arrival
    slow = stays / np.array([work.request_s(*lengths) for _, *lengths in trace])
    is_quiet = np.array([client == "quiet" for client in clients_of(trace)])
    return [
        *(f"{x:.2f} s" for x in (stays.mean(), np.percentile(stays, 99))),
        *(f"{x:.2f} s" for x in (waits.mean(), np.percentile(waits, 99))),
        *(f"{x:.1f}" for x in (slow.mean(), slow.max())),
        str(seen.swaps),
        f"{stays[is_quiet].mean():.2f} s",
    ]


def main() -> None:
    """Print how each queue fares, in the simulator and in a launch."""
    print(f"Printed on {date.today()}, {machine()}.\n")
    simulated_tables()
    launched_table()
    print(f"\n{PUBLISHED}")


def simulated_tables() -> None:
    """Print how each queue fares in the simulator, at several loads."""
    plan = solve(parse_spec(SPEC, Path("queueing.yaml")), SolveOptions(time_limit_s=5))
    trace = LONG.trace(600)
    most = capacity(plan, trace)
    work = work_of(pipeline_of_plan(plan), policy_of_plan(plan))
    kv_tokens = plan.stages[0].kv_tokens
    print(f"Simulated: llama-2-13b on one A100-40GB, room for {kv_tokens:,} tokens, 600 requests.")
    for load in LOADS:
        print(f"\n{load:.0%} of what it serves ({load * most:.2f} requests/s):\n")
        head(("queue", *HEAD))
        for queue in QUEUES:
            asked = at_rate(trace, load * most)
            found = simulated(plan, asked, queue)
            print(row([queue, *cells(asked, found, work)]), flush=True)


def head(names: tuple[str, ...]) -> None:
    """Print the head of a table."""
    print(row(names))
    print(row(["---"] * len(names)))


def launched_table() -> None:
    """Print how each queue fares in a launch of a tiny model, beside the simulator."""
    plan = launched_plan()
    trace = SHORT.trace(LAUNCHED_REQUESTS)
    most = capacity(plan, trace)
    work = work_of(pipeline_of_plan(plan), policy_of_plan(plan))
    launched = Launched(plan, clients_of(trace))
    alone, launched_most = launched.measure(trace)
    print(
        f"\nLaunched: the 3M model on one core, room for {plan.stages[0].kv_tokens} tokens,"
        f" {LAUNCHED_REQUESTS} requests at {FULL:.0%} of what it serves ({launched_most:.2f}"
        f" requests/s); by the plan's own figures it serves {most:.2f} in the simulator.\n"
    )
    head(("where", "queue", *HEAD))
    for queue in QUEUES:
        asked = at_rate(trace, FULL * most)
        found = simulated(plan, asked, queue)
        print(row(["simulated", queue, *cells(asked, found, work)]), flush=True)
    for queue in QUEUES:
        asked = at_rate(trace, FULL * launched_most)
        found = Seen(*launched.run(asked, queue))
        print(row(["launched", queue, *cells(asked, found, alone)]), flush=True)
