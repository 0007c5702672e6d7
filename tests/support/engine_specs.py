"""Specs that limit their plans to an engine."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from hexplan.cluster import EngineName
from hexplan.reading import parse_spec
from hexplan.spec import Spec

BOXES = """\
version: 1
name: boxes
model: {{name: llama-3.1-70b, weights: fp8}}
workload: {{prompt_tokens: {prompt}, output_tokens: {output}}}
hosts:
  - {{name: "box-[1-{boxes}]", site: lab, devices: {devices}, interconnect: {wire}, nic: {nic}}}
coordinator: {{site: lab, nic: {nic}}}
links: [{{within: lab, bandwidth: {nic}, latency: 0.05ms}}]
"""


def for_engine(spec: Spec, engine: EngineName) -> Spec:
    """Return a spec whose plans keep to what an engine runs."""
    limits = spec.cluster.limits.model_copy(update={"engine": engine})
    return replace(spec, cluster=spec.cluster.model_copy(update={"limits": limits}))


def one_box_of_h100s() -> Spec:
    """Return 8 H100 in one machine with Llama-3.1-70B in 8 bits."""
    return _boxes(
        prompt=4000, output=500, boxes=1, devices="8 x H100-SXM", wire="nvlink", nic="100Gbps"
    )


def two_boxes_of_l4s() -> Spec:
    """Return two machines of 4 L4 with the same model."""
    return _boxes(prompt=1000, output=250, boxes=2, devices="4 x L4", wire="pcie4", nic="25Gbps")


def _boxes(**values: object) -> Spec:
    return parse_spec(BOXES.format(**values), Path("boxes.yaml"))
