"""Small cluster files that tests start from."""

from __future__ import annotations

from pathlib import Path

from hexplan.reading import parse_spec
from hexplan.spec import Spec

TWO_NODES = """\
version: 1
name: two-nodes
model: llama-2-7b
workload:
  prompt_tokens: {mean: 512, max: 1024}
  output_tokens: 128
hosts:
  - name: big
    site: lab
    devices: 2 x A100-80GB-SXM
    interconnect: nvlink
    nic: 25Gbps
  - name: small
    site: lab
    devices: L4
    nic: 10Gbps
coordinator: {site: lab, nic: 10Gbps}
links:
  - within: lab
    bandwidth: 10Gbps
    latency: 0.1ms
"""


def spec_of(text: str, folder: Path = Path()) -> Spec:
    """Return the spec of a text, as if it stood in `folder/cluster.yaml`."""
    return parse_spec(text, folder / "cluster.yaml")


def two_nodes(old: str = "", new: str = "") -> str:
    """Return `TWO_NODES` with one part replaced, which must occur in it once."""
    if old and TWO_NODES.count(old) != 1:
        message = f"{old!r} occurs {TWO_NODES.count(old)} times"
        raise ValueError(message)
    return TWO_NODES.replace(old, new) if old else TWO_NODES + new
