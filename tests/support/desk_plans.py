"""Plans of the trained model that a solver has made, for hosts that are all this machine."""

from __future__ import annotations

from pathlib import Path

from support.shell import program

from hexplan.plan import Plan
from hexplan.plan_file import read_plan

SPEC = """\
version: 1
name: desk
model: {{path: {folder}, dtype: float32}}
objective: throughput
workload: {{prompt_tokens: {{mean: 32, max: 64}}, output_tokens: {{mean: 32, max: 64}}}}
devices:
  core: {{kind: cpu, memory: 16MiB, memory_bandwidth: 10GB/s, compute: 50GFLOPS}}
hosts:
  - {{name: "h[0-2]", site: desk, devices: core, nic: 1Gbps}}
coordinator: {{site: desk, nic: 1Gbps}}
links:
  - {{within: desk, bandwidth: 1Gbps, latency: 0.1ms}}
"""


def three_in_a_row(model_folder: Path, folder: Path) -> Plan:
    """Return a plan of three stages in a row, of which two hold the model if they must."""
    (folder / "cluster.yaml").write_text(SPEC.format(folder=model_folder))
    hexplan("solve", folder / "cluster.yaml", "-o", folder / "plan.json", "--quiet")
    return read_plan(folder / "plan.json")


def hexplan(*words: str | Path, exit_code: int = 0) -> str:
    """Run hexplan, and return what it prints on stdout."""
    done = program(*words)
    assert done.returncode == exit_code, done.stdout + done.stderr
    return done.stdout
