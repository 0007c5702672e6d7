"""Clusters on which the objectives are compared with every uniform configuration."""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path

from hexplan.plan import Objective
from hexplan.reading import parse_spec, read_spec
from hexplan.spec import Spec
from hexplan.workload import Slo

FOLDER = Path(__file__).parent.parent / "cluster_specs"
BOX = """\
version: 1
name: {name}
model: {{name: llama-3.1-70b, weights: fp8}}
workload: {{prompt_tokens: {prompt}, output_tokens: {output}}}
hosts:
  - name: "box-[1-{boxes}]"
    site: lab
    devices: {count} x {device}
    interconnect: {wire}
    nic: {nic}
coordinator: {{site: lab, nic: {nic}}}
links: [{{within: lab, bandwidth: {nic}, latency: 0.05ms}}]
"""


@dataclass(frozen=True, slots=True)
class _Asked:
    """What is asked of a cluster."""

    ttft_s: str
    tpot_s: str
    attainment: str
    requests_per_s: float
    """Rate for the objective `latency`."""


def _box(name: str, device: str, boxes: int = 1, count: int = 8) -> Spec:
    is_small = device == "L4"
    text = BOX.format(
        name=name,
        device=device,
        boxes=boxes,
        count=count,
        prompt=1000 if is_small else 4000,
        output=250 if is_small else 500,
        wire="pcie4" if is_small else "nvlink",
        nic="25Gbps" if is_small else "100Gbps",
    )
    return parse_spec(text, Path(f"{name}.yaml"))


SPECS = {
    "8-h100": lambda: _box("8-h100", "H100-SXM"),
    "8-h200": lambda: _box("8-h200", "H200-SXM"),
    "2x8-l4": lambda: _box("2x8-l4", "L4", 2),
    "2x4-l4": lambda: _box("2x4-l4", "L4", 2, 4),
    "home-lab": lambda: read_spec(FOLDER / "home-lab.yaml"),
    "two-datacentres": lambda: read_spec(FOLDER / "two-datacentres.yaml"),
}
"""The first two are compared with a public planner's figures, too (docs/benchmarks.md)."""
ASKED = {
    "8-h100": _Asked("1", "0.03", "0.99", 1.0),
    "8-h200": _Asked("1", "0.03", "0.99", 1.0),
    "2x8-l4": _Asked("4", "0.1", "0.95", 0.2),
    "2x4-l4": _Asked("4", "0.1", "0.95", 0.1),
    "home-lab": _Asked("3", "0.08", "0.95", 0.1),
    "two-datacentres": _Asked("8", "0.25", "0.95", 0.05),
}


def objective_spec(name: str, objective: Objective) -> Spec:
    """Return a cluster with what is asked of it under an objective."""
    spec, asked = SPECS[name](), ASKED[name]
    slo = Slo(
        ttft_s=Decimal(asked.ttft_s),
        tpot_s=Decimal(asked.tpot_s),
        attainment=Decimal(asked.attainment),
    )
    update = {"slo": slo, "request_rate_per_s": asked.requests_per_s}
    return replace(spec, workload=spec.workload.model_copy(update=update), objective=objective)
