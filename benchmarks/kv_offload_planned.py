"""What the planner makes of host memory: one L4 with a model of 8 billion numbers, simulated."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from hexplan.plan import Plan
from hexplan.reading import parse_spec
from hexplan_solver import SolveOptions, solve
from hexplan_solver.simulate import (
    Offline,
    SpreadLengths,
    Window,
    pipeline_of_plan,
    policy_of_plan,
    simulate,
)

SPEC: Final = """
version: 1
name: long
model: {{name: llama-3.1-8b}}
workload: {{prompt_tokens: {{mean: {prompt}, max: {most}}}, output_tokens: {{mean: 300, max: 600}}}}
hosts: [{{name: node, site: lab, devices: L4, nic: 100Gbps}}]
coordinator: {{site: lab, nic: 100Gbps}}
links: [{{within: lab, bandwidth: 100Gbps, latency: 0.1ms}}]
limits: {{chunk_tokens: 2048, time: 2s}}
objective: {objective}
techniques: {{kv_offload: {how}, host_memory: 128GB, kv_fraction: {fraction}}}
"""
PROMPTS: Final = (500, 2000, 8000)
FRACTIONS: Final = ("1", "0.2", "0.1")
WINDOW: Final = Window(3000, 1000, seed=1)


def plan_of(prompt: int, how: str, fraction: str, objective: str = "throughput") -> Plan:
    """Return the plan of one L4."""
    text = SPEC.format(
        prompt=prompt, most=prompt * 3 // 2, how=how, fraction=fraction, objective=objective
    )
    return solve(parse_spec(text, Path("long.yaml")), SolveOptions(effort_s=5))


def planned_rows() -> Iterator[str]:
    """Yield the table."""
    yield "| prompt | fetched | room for tokens | requests/s | over none | TPOT, ms |"
    yield "|---|---|---|---|---|---|"
    for prompt in PROMPTS:
        plans = [("no host memory", plan_of(prompt, "off", "1"))]
        plans += [(f"{float(f):.0%}", plan_of(prompt, "on", f)) for f in FRACTIONS]
        before = 0.0
        for name, plan in plans:
            workload, (stage,) = plan.workload, plan.stages
            lengths = SpreadLengths(workload.prompt_tokens, workload.output_tokens)
            outcome = simulate(
                pipeline_of_plan(plan), Offline(lengths), policy_of_plan(plan), WINDOW
            )
            before = before or outcome.requests_per_s
            is_used = stage.kv_offload is not None or plan is plans[0][1]
            gain = f"{outcome.requests_per_s / before:.2f}" if is_used else "not used"
            tpot_ms = f"{outcome.tpot.mean_s * 1e3:.0f}" if outcome.tpot else ""
            yield (
                f"| {prompt} | {name} | {stage.room_tokens:,} | {outcome.requests_per_s:.3f} |"
                f" {gain} | {tpot_ms} |"
            )
