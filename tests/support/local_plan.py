"""A plan for this machine as a user makes it: the trained model, whole, on each of two devices."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from support.desks import FOLDER

SPEC = """\
version: 1
name: here
model: {{path: {folder}, dtype: float32}}
objective: throughput
workload: {{prompt_tokens: {{mean: 32, max: 64}}, output_tokens: {{mean: 32, max: 64}}}}
devices:
  core: {{kind: cpu, memory: 64MiB, memory_bandwidth: 10GB/s, compute: 50GFLOPS}}
hosts:
  - {{name: ada, site: paris, devices: [1 x core, 1 x core], interconnect: {{bandwidth: 10GB/s,
     latency: 10us}}, nic: 100Mbps}}
coordinator: {{site: paris, nic: 100Mbps}}
links:
  - {{within: paris, bandwidth: 100Mbps, latency: 0.1ms}}
"""
BODY = {"prompt": "It is a truth", "max_tokens": 40, "temperature": 0, "ignore_eos": True}


def solve_here(plan: Path) -> subprocess.CompletedProcess[str]:
    """Plan, and return how the command ended."""
    spec = Path(f"{plan}.yaml") if plan.parent.name != "full" else plan.parent.parent / "spec.yaml"
    spec.write_text(SPEC.format(folder=FOLDER))
    words = (sys.executable, "-m", "hexplan", "solve", spec, "-o", plan, "--time-limit", "2s")
    return subprocess.run(words, capture_output=True, text=True, check=False)
