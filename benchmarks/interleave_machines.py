"""Machines of like devices on one interconnect, and the ways in which these can serve a model."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from hexplan.errors import InfeasibleError, LimitReached
from hexplan.plan import Plan
from hexplan.reading import parse_spec
from hexplan_solver import SolveOptions, solve

SPEC: Final = """
version: 1
name: machine
model: {{name: {model}}}
workload: {{prompt_tokens: {{mean: {prompt}, max: {most_prompt}}},
  output_tokens: {{mean: {output}, max: {most_output}}}{rate}}}
objective: {objective}
hosts: {hosts}
coordinator: {{site: lab, nic: 100Gbps}}
links:
  - {{within: lab, bandwidth: {bandwidth}, latency: 10us}}
{pin}
limits: {{chunk_tokens: 2048, time: {time}s}}
techniques: {{interleave: {interleave}}}
"""
OPTIONS: Final = SolveOptions(effort_s=10)


@dataclass(frozen=True, slots=True)
class Task:
    """Lengths of requests."""

    prompt: int
    most_prompt: int
    output: int
    most_output: int


@dataclass(frozen=True, slots=True)
class Machine:
    """So many devices of one type on an interconnect, a model, and a task."""

    model: str
    layers: int
    device: str
    count: int
    bandwidth: str
    task: Task

    def __str__(self) -> str:
        task = self.task
        devices = f"{self.count} x {self.device}, {self.bandwidth}"
        return f"{self.model}, {devices}, {task.prompt} + {task.output}"

    def plan(self, way: str) -> Plan:
        """Return the plan of one way: `tp`, `pp` or `interleaved`."""
        pin = f"{{same_stage: [{', '.join(f'node/{n}' for n in range(self.count))}]}}"
        hosts = self._whole
        if way == "pp":
            each = f"site: lab, devices: 1 x {self.device}, nic: 1Tbps"
            hosts = ", ".join(f"{{name: n{n}, {each}}}" for n in range(self.count))
            ends = [n * self.layers // self.count for n in range(self.count + 1)]
            held = (f"{{host: n{n}, layers: {ends[n : n + 2]}}}" for n in range(self.count))
            pin = ", ".join(held)
        how = "on" if way == "interleaved" else "off"
        return self._solved(f"[{hosts}]", "balanced", how, 5, pin=f"pin: [{pin}]")

    def planned_for(self, rate: float) -> Plan:
        """Return the planner's choice for a rate: of stages, and whether they interleave."""
        whole, asked = f"[{self._whole}]", f", request_rate: {rate:.3g}/s"
        return fastest_or_most(
            lambda objective: self._solved(whole, objective, "auto", 60, rate=asked)
        )

    @property
    def _whole(self) -> str:
        link = f"interconnect: {{bandwidth: {self.bandwidth}, latency: 10us}}"
        devices = f"devices: {self.count} x {self.device}"
        return f"{{name: node, site: lab, {devices}, {link}, nic: 1Tbps}}"

    def _solved(
        self,
        hosts: str,
        objective: str,
        interleave: str,
        time_s: int,
        *,
        rate: str = "",
        pin: str = "",
    ) -> Plan:
        task = self.task
        text = SPEC.format(
            model=self.model,
            bandwidth=self.bandwidth,
            prompt=task.prompt,
            most_prompt=task.most_prompt,
            output=task.output,
            most_output=task.most_output,
            hosts=hosts,
            objective=objective,
            interleave=interleave,
            time=time_s,
            rate=rate,
            pin=pin,
        )
        return solve(parse_spec(text, Path("machine.yaml")), OPTIONS)


FITTING: Final = (
    ("llama-3.1-8b", 32, ("L4", "A10", "RTX-4090", "T4", "A40"), (2, 4, 8)),
    ("llama-2-13b", 40, ("L4", "RTX-3090", "A40", "V100-PCIe-16GB"), (4, 8)),
    ("qwen3-32b", 64, ("L40S", "A40", "A100-80GB-PCIe", "RTX-A6000"), (4, 8)),
    ("llama-2-70b", 80, ("A100-80GB-PCIe", "H100-PCIe", "H100-SXM"), (4, 8)),
)
"""Models with their layers, and devices of which so many hold them."""
BANDWIDTHS: Final = ("12GB/s", "16GB/s", "25GB/s", "31.5GB/s", "56GB/s", "112GB/s", "450GB/s")
PROMPTS: Final = (128, 256, 512, 1024, 2000)
OUTPUTS: Final = (1, 16, 64, 200)


def machine_of(seed: int) -> Machine:
    """Return a machine made up from a seed."""
    rng = random.Random(seed)  # noqa: S311
    model, layers, devices, counts = rng.choice(FITTING)
    prompt, output = rng.choice(PROMPTS), rng.choice(OUTPUTS)
    task = Task(prompt, 2 * prompt, output, 2 * output if output > 1 else 1)
    bandwidth = rng.choice(BANDWIDTHS)
    return Machine(model, layers, rng.choice(devices), rng.choice(counts), bandwidth, task)


def fastest_or_most(plan_for: Callable[[str], Plan]) -> Plan:
    """Return the plan of least latency; if no plan carries the rate, the one that serves most.

    Parameters
    ----------
    plan_for
        Plans for an objective.
    """
    try:
        return plan_for("latency")
    except (InfeasibleError, LimitReached):
        return plan_for("sustained")


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
