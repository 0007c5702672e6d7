"""Print what plans serve within an SLO if prefill and decode may be on different stages, or not.

    python benchmarks/splits.py [ROW ...]

Both are planned with the objective `slo`, and judged by simulations of 1,000 requests with three
seeds that the search did not see, at the rate that each plan states. The output is Markdown;
docs/benchmarks.md has such an output, with its machine and date.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from statistics import fmean

from planner import machine

from hexplan.check import check_plan
from hexplan.errors import LimitReached
from hexplan.plan import Plan, Stage
from hexplan.reading import read_spec
from hexplan.spec import Spec
from hexplan.techniques import Phases
from hexplan_solver import SolveOptions, solve
from hexplan_solver.served.request import spread_lengths
from hexplan_solver.simulate import Poisson, Slo, Window, pipeline_of_plan, policy_of_plan, simulate

TIME_LIMIT_S = 45.0
NIC_GBPS = 400
SEEDS = (11, 12, 13)
REQUESTS = 1000
SPEC = """
version: 1
name: sixteen
model: {{name: llama-3.1-70b, weights: fp8}}
workload:
  prompt_tokens: {{mean: {prompt}, max: {longest}}}
  output_tokens: {{mean: {output}, max: {most}}}
  slo: {{ttft: 1s, tpot: {tpot}ms, attainment: 90%}}
objective: slo
hosts:
  - {{name: a, site: lab, nic: {nic}Gbps, devices: 8 x H100-SXM, interconnect: nvlink}}
  - {{name: b, site: lab, nic: {nic}Gbps, {second}}}
links: [{{within: lab, bandwidth: {nic}Gbps, latency: 0.02ms}}]
coordinator: {{site: lab, nic: 100Gbps}}
limits: {{chunk_tokens: 2048}}
"""
H100 = "devices: 8 x H100-SXM, interconnect: nvlink"
L40S = "devices: 8 x L40S, interconnect: pcie4"


@dataclass(frozen=True, slots=True)
class Case:
    """Two machines and their requests."""

    devices: str
    prompt: int
    output: int
    tpot_ms: int
    nic_gbps: int = NIC_GBPS
    spread: int = 1
    """How many times the mean the longest lengths are."""

    @property
    def name(self) -> str:
        """The machines, and the network if it is slow."""
        network = "" if self.nic_gbps == NIC_GBPS else f", {self.nic_gbps} Gbit/s"
        return f"8 H100 + {'8 H100' if self.devices == H100 else '8 L40S'}{network}"

    @property
    def requests(self) -> str:
        """Their lengths."""
        longest = f", up to {self.spread} times" if self.spread > 1 else ""
        return f"{self.prompt} + {self.output}{longest}"

    def spec(self) -> Spec:
        """Return the spec."""
        text = SPEC.format(
            prompt=self.prompt,
            output=self.output,
            longest=self.prompt * self.spread,
            most=self.output * self.spread,
            tpot=self.tpot_ms,
            second=self.devices,
            nic=self.nic_gbps,
        )
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "cluster.yaml"
            path.write_text(text)
            return read_spec(path)


CASES = (
    Case(H100, 4000, 500, 30),
    Case(H100, 4000, 500, 20),
    Case(H100, 4000, 500, 30, spread=2),
    Case(H100, 4000, 500, 30, nic_gbps=25),
    Case(H100, 8000, 200, 25),
    Case(H100, 512, 512, 30),
    Case(L40S, 4000, 500, 30),
    Case(L40S, 4000, 500, 20),
    Case(L40S, 8000, 200, 25),
)
HEAD = (
    "| machines | prompt + output | TPOT | phases | requests/s | kept, other seeds | TTFT"
    " | mean TPOT | KV a request | stages | solve |\n|---|---|---|---|---|---|---|---|---|---|---|"
)


def planned(case: Case, phases: Phases) -> str:
    """Return the row of the best plan that may split phases, or may not."""
    spec = case.spec()
    limits = spec.cluster.limits.model_copy(update={"phases": phases})
    cluster = spec.cluster.model_copy(update={"limits": limits})
    begun_s = time.perf_counter()
    row = f"| {case.name} | {case.requests} | {case.tpot_ms} ms | {phases}"
    try:
        plan = solve(replace(spec, cluster=cluster), SolveOptions(time_limit_s=TIME_LIMIT_S))
    except LimitReached:
        return f"{row} | none | | | | | | |"
    took_s = time.perf_counter() - begun_s
    assert not check_plan(plan)
    found = plan.predicted
    assert found.slo_requests_per_s and found.ttft_s and found.tpot_s
    return (
        f"{row} | {found.slo_requests_per_s:.2f} | {kept(plan):.1%} | {found.ttft_s * 1000:.0f} ms"
        f" | {found.tpot_s * 1000:.1f} ms | {moved(plan)} | {stages(plan)} | {took_s:.0f} s |"
    )


def kept(plan: Plan) -> float:
    """Return the share of requests that keep the SLO with other random numbers."""
    promised, rate = plan.workload.slo, float(plan.predicted.slo_requests_per_s or 0)
    assert promised is not None
    slo = Slo(float(promised.ttft_s), float(promised.tpot_s))
    warm_up = 300
    times_s = (warm_up + REQUESTS) / rate, warm_up / rate
    traffic = Poisson(rate, spread_lengths(plan.workload))
    shares = []
    for seed in SEEDS:
        window = Window(*times_s, seed, slo=slo)
        outcome = simulate(pipeline_of_plan(plan), traffic, policy_of_plan(plan), window)
        assert outcome.slo is not None
        shares.append(outcome.slo.attainment)
    return fmean(shares)


def moved(plan: Plan) -> str:
    """Return the KV of a mean request that moves between hosts, and inside of them."""
    if not plan.handovers:
        return "-"
    hosts = {stage.id: stage.host for stage in plan.stages}
    sums = [0.0, 0.0]
    for handover in plan.handovers:
        for move in handover.kv_moves:
            is_inside = hosts[move.source] == hosts[move.target]
            sums[is_inside] += float(handover.weight) * move.bytes_per_request
    return f"{sums[0] / 1e9:.2f} GB out, {sums[1] / 1e9:.2f} GB inside"


def stages(plan: Plan) -> str:
    """Return the stages of a plan, such as `prefill 8 x TP1 H100 of 40 layers; decode ...`."""
    told = []
    for phase in ("prefill", "decode", "both"):
        forms = Counter(form(stage, plan) for stage in plan.stages if stage.phase == phase)
        if forms:
            shown = " + ".join(f"{count} x {name}" for name, count in forms.items())
            told.append(shown if phase == "both" else f"{phase} {shown}")
    return "; ".join(told)


def form(stage: Stage, plan: Plan) -> str:
    """Return a stage's degree, its devices, and its layers if it does not hold all."""
    kind = plan.cluster.host_by_name[stage.host].devices[stage.devices[0]].partition("-")[0]
    held = stage.layers[1] - stage.layers[0]
    part = "" if held == plan.model.layers else f" of {held} layers"
    return f"TP{stage.tp} {kind}{part}"


def main() -> None:
    """Print all rows, or those whose numbers are given."""
    chosen = [CASES[int(text)] for text in sys.argv[1:]] or CASES
    print(f"{date.today()}, {machine()}, {TIME_LIMIT_S:.0f} s a solve\n")  # noqa: DTZ011
    print(HEAD)
    for case in chosen:
        for phases in ("together", "any"):
            print(planned(case, phases), flush=True)


if __name__ == "__main__":
    main()
