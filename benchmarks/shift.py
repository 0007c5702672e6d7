"""Print what sharing tokens gains on one machine: TP, SP and shift, by model and simulation.

    python benchmarks/shift.py

The output is Markdown; docs/simulation.md has such an output, with its machine and date. Nothing in
it was measured on a GPU: step times are those of the datasheet.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path

from planner import machine

from hexplan.cluster import Parallel
from hexplan.constants import MICRO
from hexplan.cost import StageShape, find_sharing, kv_room_tokens, memory_of, stage_speed
from hexplan.plan import Plan
from hexplan.reading import parse_spec
from hexplan.results.outcome import Outcome
from hexplan.spec import Spec
from hexplan.workload import Lengths
from hexplan_solver import solve
from hexplan_solver.simulate import (
    CHUNKED,
    Offline,
    Poisson,
    SpreadLengths,
    Traffic,
    Window,
    pipeline_of_plan,
    simulate,
)

WAYS: tuple[Parallel, ...] = ("tp", "sp", "shift")
CHUNK_TOKENS = 8192
"""Tokens of a step: with small steps, shifting gains nothing."""
SPEC = f"""
version: 1
name: eight-h200
model: {{name: llama-3.1-70b, weights: fp8}}
workload: {{prompt_tokens: {{mean: 4000, max: 16000}}, output_tokens: {{mean: 250, max: 1000}}}}
hosts:
  - {{name: node, site: lab, devices: 8 x H200, interconnect: nvlink, nic: 100Gbps}}
coordinator: {{site: lab, nic: 100Gbps}}
links:
  - {{within: lab, bandwidth: 100Gbps, latency: 0.1ms}}
pin:
  - same_stage: [node/0, node/1, node/2, node/3, node/4, node/5, node/6, node/7]
limits: {{chunk_tokens: {CHUNK_TOKENS}}}
"""
"""As in the authors' artifact: Llama-70B in fp8 on one node of 8 H200; their traces are longer."""
PROMPT, OUTPUT = Lengths(mean=4000, max=16000), Lengths(mean=250, max=1000)
LENGTHS = SpreadLengths(PROMPT, OUTPUT)
LOADS: dict[str, Traffic] = {
    "0.2 requests/s": Poisson(0.2, LENGTHS),
    "4 requests/s": Poisson(4.0, LENGTHS),
    "6 requests/s": Poisson(6.0, LENGTHS),
    "as many as fit": Offline(LENGTHS),
}
WINDOW = Window(400.0, 100.0)
HEAD = "| load | way | TTFT mean | TTFT p99 | TPOT mean | tokens/s |\n|---|---|---|---|---|---|"
CLAIMS = """
The authors claim of Shift Parallelism (arXiv 2509.16495, abstract) up to 1.51 times faster response
and 50 % more throughput than tensor parallelism alone; those are measured, on traces of their own.
"""


def plan_of(spec: Spec, way: Parallel, sp_degree: int | None = None) -> Plan:
    """Plan the machine as one stage of 8 devices in one parallel mode, at one SP degree.

    The planner would choose the degree itself.
    """
    limits = spec.cluster.limits.model_copy(update={"parallel": (way,)})
    cluster = spec.cluster.model_copy(update={"limits": limits})
    spec = Spec(cluster, spec.model, spec.workload)
    plan = solve(spec)
    (stage,) = plan.stages
    shape = StageShape.of(plan, stage)
    sharing = find_sharing(way, spec.model, shape, sp_degree)
    assert sharing is not None, "eight devices of one type can share out tokens at this degree"
    shape = replace(shape, sharing=sharing)
    kv_tokens = kv_room_tokens(spec, shape)
    speed = stage_speed(spec, shape, kv_tokens)
    update = {
        "sp_degree": sharing.sp_degree,
        "shift_tokens": sharing.shift_tokens,
        "kv_tokens": kv_tokens,
        "memory": memory_of(spec, shape, stage.devices, kv_tokens),
        "capacity_tokens_per_s": Decimal(speed.micro_tokens_per_s) / MICRO,
    }
    return plan.model_copy(update={"stages": (stage.model_copy(update=update),)})


def run(plan: Plan, traffic: Traffic) -> Outcome:
    """Simulate a plan with large steps."""
    policy = replace(CHUNKED, chunk_tokens=CHUNK_TOKENS)
    return simulate(pipeline_of_plan(plan), traffic, policy, WINDOW)


def row(load: str, way: Parallel, outcome: Outcome) -> str:
    """Return one row of the table."""
    ttft, tpot = outcome.ttft, outcome.tpot
    assert ttft is not None, "the window is long enough for first tokens"
    assert tpot is not None, "and for second ones"
    total = outcome.requests_per_s * (PROMPT.mean + OUTPUT.mean)
    return (
        f"| {load} | {way} | {ttft.mean_s:.2f} s | {ttft.p99_s:.2f} s"
        f" | {tpot.mean_s * 1000:.1f} ms | {total:,.0f} |"
    )


def main() -> None:
    """Print the plans, the table and the ratios."""
    spec = parse_spec(SPEC, Path("eight-h200.yaml"))
    plans = {way: plan_of(spec, way) for way in WAYS}
    print(f"{machine()}, {date.today()}, `python benchmarks/shift.py`\n")
    print("| way | T, tokens/s | KV tokens | threshold |\n|---|---|---|---|")
    for way, plan in plans.items():
        (stage,) = plan.stages
        threshold = "" if stage.shift_tokens is None else f"{stage.shift_tokens:,} tokens"
        speed = f"{stage.capacity_tokens_per_s:,.0f}"
        print(f"| {way} | {speed} | {stage.kv_tokens:,} | {threshold} |")
    print(f"\n{HEAD}")
    found: dict[tuple[str, Parallel], Outcome] = {}
    for load, traffic in LOADS.items():
        for way in WAYS:
            found[load, way] = outcome = run(plans[way], traffic)
            print(row(load, way, outcome), flush=True)
    print(f"\nShift over tp:\n\n{ratios(found)}\n{CLAIMS.rstrip()}")


def ratios(found: dict[tuple[str, Parallel], Outcome]) -> str:
    """Return how shift compares with tensor parallelism, one line for each load."""
    lines = []
    for load in LOADS:
        tensor, shift = found[load, "tp"], found[load, "shift"]
        assert tensor.ttft is not None, "there were first tokens"
        assert shift.ttft is not None, "there were first tokens"
        assert tensor.e2e is not None, "there were last tokens"
        assert shift.e2e is not None, "there were last tokens"
        lines.append(
            f"* {load}: first token {tensor.ttft.mean_s / shift.ttft.mean_s:.2f} times as fast,"
            f" whole answer {tensor.e2e.mean_s / shift.e2e.mean_s:.2f} times,"
            f" {shift.requests_per_s / tensor.requests_per_s:.2f} times the requests"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
