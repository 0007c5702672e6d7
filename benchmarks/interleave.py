"""Print what interleaving gains over plain tensor and pipeline parallelism, in the simulator.

    python benchmarks/interleave.py [--no-measured]

The output is Markdown; docs/guides/interleave.md has it, with its machine and date. The first
tables are simulated, with step times of the datasheet: nothing in them was measured on a GPU.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Final

from planner import machine

from hexplan.errors import InfeasibleError
from hexplan.plan import Plan
from hexplan.reading import parse_spec
from hexplan.results.outcome import Outcome
from hexplan_solver import SolveOptions, solve
from hexplan_solver.simulate import (
    Offline,
    Poisson,
    SpreadLengths,
    Window,
    pipeline_of_plan,
    policy_of_plan,
    simulate,
)

SPEC: Final = """
version: 1
name: four-a100
model: {{name: llama-2-70b}}
workload: {{prompt_tokens: {{mean: {prompt}, max: {most}}}, output_tokens: {output}}}
hosts: {hosts}
coordinator: {{site: lab, nic: 100Gbps}}
links:
  - {{within: lab, bandwidth: 31.5GB/s, latency: 10us}}
pin: {pin}
limits: {{chunk_tokens: 2048, time: 5s}}
techniques: {{interleave: {interleave}}}
"""
FREE_SPEC: Final = """
version: 1
name: four-a100
model: {{name: llama-2-70b}}
workload: {{prompt_tokens: {{mean: {prompt}, max: {most}}}, output_tokens: {output},
  request_rate: {rate}/s}}
objective: latency
hosts:
  - {{name: node, site: lab, devices: 4 x A100-80GB-PCIe, nic: 1Tbps,
     interconnect: {{bandwidth: 31.5GB/s, latency: 10us}}}}
coordinator: {{site: lab, nic: 100Gbps}}
links:
  - {{within: lab, bandwidth: 31.5GB/s, latency: 10us}}
limits: {{chunk_tokens: 2048, time: 60s}}
techniques: {{interleave: auto}}
"""
"""The same machine, which the planner may cut as it likes for the rate."""
"""Four A100 over PCIe 4 at its stated bandwidth. Sums then take about half of a step, as the
authors state of GLM-130B on four A100."""
TASKS: Final = {
    "discriminative, 512 tokens": {"prompt": 512, "most": 1024, "output": "{mean: 1, max: 1}"},
    "generative, 512 + 64 tokens": {"prompt": 512, "most": 1024, "output": "{mean: 64, max: 128}"},
}
WAYS: Final = ("tp", "pp", "interleaved", "auto")
LOADS: Final = (0.1, 0.3, 0.5, 0.8, 1.0, 1.3, 1.6, 2.0)
"""Of what plain tensor parallelism serves."""
REQUESTS: Final = 800
SEEDS: Final = (1, 2, 3)
NEWER: Final = """
Newer anchors, measured on GPUs by their authors: TokenWeave (arXiv 2505.11329) states up to 1.28
times lower latency and 1.19 times the throughput on 8 x H100 over NVLink; it also fuses the sum
with the norm in one kernel that takes few SMs, which this runtime does not. Dual batch overlap in
vLLM (DBO) runs two micro-batches in two threads over the all-to-alls of experts, with kernels whose
SMs are set apart; here only all-reduces are overlapped. Liger (PPoPP 2024) states 36 % lower mean
latency than pp at its throughput, and 1.34 times the throughput of tp, on 4 devices; Liger+ 43.8 %
lower P90 and up to 1.63 times.
"""


@dataclass(frozen=True, slots=True)
class Served:
    """How a way fared at a rate, over all seeds."""

    outcomes: tuple[Outcome, ...]

    @property
    def mean_s(self) -> float:
        """Mean time of a request."""
        return sum(o.e2e.mean_s for o in self.outcomes if o.e2e) / len(self.outcomes)

    @property
    def p90_s(self) -> float:
        """What nine of ten requests take at most."""
        return sum(o.e2e.p90_s for o in self.outcomes if o.e2e) / len(self.outcomes)

    @property
    def requests_per_s(self) -> float:
        """Requests that ended."""
        return sum(o.requests_per_s for o in self.outcomes) / len(self.outcomes)


def plan_of(task: str, way: str) -> Plan:
    """Return the machine's plan in one way."""
    link = "interconnect: {bandwidth: 31.5GB/s, latency: 10us}"
    hosts = f"[{{name: node, site: lab, devices: 4 x A100-80GB-PCIe, {link}, nic: 1Tbps}}]"
    pin = "[{same_stage: [node/0, node/1, node/2, node/3]}]"
    if way == "pp":
        each = "site: lab, devices: 1 x A100-80GB-PCIe, nic: 1Tbps"
        hosts = f"[{', '.join(f'{{name: n{n}, {each}}}' for n in range(4))}]"
        held = (f"{{host: n{n}, layers: [{20 * n}, {20 * n + 20}]}}" for n in range(4))
        pin = f"[{', '.join(held)}]"
    how = "on" if way == "interleaved" else "off"
    text = SPEC.format(hosts=hosts, pin=pin, interleave=how, **TASKS[task])
    return solve(parse_spec(text, Path("four-a100.yaml")), SolveOptions(effort_s=10))


def planned_for(task: str, rate: float) -> Plan:
    """Return the planner's choice for a rate: of stages, and whether they interleave.

    A rate that no plan carries gets the plan that serves most.
    """
    text, file = FREE_SPEC.format(rate=f"{rate:.2f}", **TASKS[task]), Path("four-a100.yaml")
    options = SolveOptions(effort_s=10)
    try:
        return solve(parse_spec(text, file), options)
    except InfeasibleError:
        most = text.replace("objective: latency", "objective: sustained")
        return solve(parse_spec(most, file), options)


def in_words(plan: Plan) -> str:
    """Say how a plan's stages are cut: devices by stage, route by route."""
    stages = {stage.id: stage for stage in plan.stages}
    chains = {
        " + ".join(
            f"{stages[hop.stage].tp}{' in lanes' * (stages[hop.stage].interleave is not None)}"
            for hop in route.hops
        )
        for route in plan.routes
    }
    return " or ".join(sorted(chains))


def lengths_of(plan: Plan) -> SpreadLengths:
    """Return how long its requests are."""
    return SpreadLengths(plan.workload.prompt_tokens, plan.workload.output_tokens)


def most_requests_per_s(plan: Plan) -> float:
    """Return what a plan serves of requests that never end."""
    window = Window(200.0, 60.0, seed=1)
    policy = policy_of_plan(plan)
    return simulate(
        pipeline_of_plan(plan), Offline(lengths_of(plan)), policy, window
    ).requests_per_s


def serve(plan: Plan, rate: float) -> Served:
    """Simulate a rate with the same requests for every way."""
    duration_s = REQUESTS / rate
    window = Window(duration_s, 0.2 * duration_s)
    traffic, policy = Poisson(rate, lengths_of(plan)), policy_of_plan(plan)
    pipeline = pipeline_of_plan(plan)
    return Served(
        tuple(simulate(pipeline, traffic, policy, replace(window, seed=seed)) for seed in SEEDS)
    )


def task_section(task: str) -> str:
    """Return the tables of one task."""
    plans = {way: plan_of(task, way) for way in WAYS if way != "auto"}
    how = plans["interleaved"].stages[0].interleave
    assert how is not None
    capacity = most_requests_per_s(plans["tp"])
    lines = [
        f"#### {task}\n",
        f"Steps are interleaved from {how.from_tokens} tokens on; tp serves {capacity:.2f}"
        " requests/s at most.\n",
        "Each cell: tp / pp / interleaved / auto.\n",
        "| load | requests/s | mean s | P90 s | served/s | interleaved over tp | over pp"
        " | auto over tp | over pp | devices a stage that auto takes |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for load in LOADS:
        rate = load * capacity
        auto = planned_for(task, rate)
        found = {way: serve(plan, rate) for way, plan in {**plans, "auto": auto}.items()}
        lines.append(f"| {load} | {rate:.2f} | {_cells(found)} | {in_words(auto)} |")
    return "\n".join(lines)


def _cells(found: Mapping[str, Served]) -> str:
    def cell(values: list[float]) -> str:
        return " / ".join(f"{value:.2f}" for value in values)

    ways = [found[way] for way in WAYS]
    tensor, pipeline, lanes, auto = (one.mean_s for one in ways)
    ratios = (lanes / tensor, lanes / pipeline, auto / tensor, auto / pipeline)
    return " | ".join(
        [
            cell([one.mean_s for one in ways]),
            cell([one.p90_s for one in ways]),
            cell([one.requests_per_s for one in ways]),
            *(f"{ratio:.2f}" for ratio in ratios),
        ]
    )


def interleave_section(*, is_measured: bool = True) -> str:
    """Return everything about this technique, in Markdown."""
    parts = ["### Simulated: Llama-2-70B in 16 bits on 4 x A100 over PCIe 4\n"]
    parts += [f"{task_section(task)}\n" for task in TASKS]
    parts.append(NEWER.strip())
    if is_measured:
        from interleave_launch import launched_section

        head = "\n### Launched: two ranks on a CPU, the link emulated\n"
        parts += [head, launched_section()]
    return "\n".join(parts)


def main() -> None:
    """Print the section."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--no-measured", action="store_true", help="leave out what is launched")
    arguments = parser.parse_args()
    print(f"{machine()}, {date.today()}, `python benchmarks/interleave.py`\n")
    print(interleave_section(is_measured=not arguments.no_measured))


if __name__ == "__main__":
    main()
