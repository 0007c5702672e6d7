"""Many hosts on one machine: how long `doctor`, a start and a stop take.

    python benchmarks/fifty_hosts.py [--hosts 50] [--only doctor]

Every host is this machine at a loopback address of its own, with an agent and a rank of its own;
the model has a tiny layer for each. So edges are real, encrypted and over TCP; ssh is left out, and
so are the ranks' computations, of which there are next to none. Prints wall and CPU seconds, as one
machine has far fewer cores than so many hosts.
"""

from __future__ import annotations

import argparse
import os
import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from hexplan.plan import Plan
from hexplan.reading import parse_spec
from hexplan_runtime.launch.doctor import Doctor
from hexplan_runtime.launch.places import Hosts
from hexplan_solver import SolveOptions, solve

DOCTOR_S: Final = 600.0
START_S: Final = 1800.0
SIZES: Final[dict[str, Any]] = {
    "hidden_size": 48,
    "intermediate_size": 96,
    "vocab_size": 256,
    "num_attention_heads": 6,
    "num_key_value_heads": 3,
    "dtype": "float32",
}
SPEC: Final = """
version: 1
name: many-hosts
model: {{path: {path}, dtype: float32}}
objective: throughput
workload: {{prompt_tokens: {{mean: 8, max: 16}}, output_tokens: {{mean: 8, max: 16}}}}
devices:
  core: {{kind: cpu, memory: 64MiB, memory_bandwidth: 10GB/s, compute: 50 GFLOP/s}}
hosts:
{hosts}
coordinator: {{site: desk, nic: 1GB/s}}
links:
  - {{within: desk, bandwidth: 1Mbps, latency: 10ms}}
pin:
{pins}
"""


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hosts", type=int, default=50)
    parser.add_argument("--only", choices=("doctor", "launch"))
    options = parser.parse_args()
    with TemporaryDirectory() as folder:
        plan = make_plan(Path(folder), options.hosts)
        if options.only != "launch":
            look(plan)
        if options.only != "doctor":
            launch(plan)


def make_plan(folder: Path, num_hosts: int) -> Plan:
    """Write a model with a layer for each host, and plan a stage for each."""
    from random_llamas import write_llama
    from transformers import LlamaConfig

    write_llama(LlamaConfig(num_hidden_layers=num_hosts, **SIZES), folder)
    numbers = range(num_hosts)
    hosts = "\n".join(
        f"  - {{name: h{n}, site: desk, address: 127.0.1.{n + 1}, devices: core, nic: 1GB/s}}"
        for n in numbers
    )
    pins = "\n".join(f"  - {{host: h{n}, layers: [{n}, {n + 1}]}}" for n in numbers)
    spec = parse_spec(SPEC.format(path=folder, hosts=hosts, pins=pins), folder / "cluster.yaml")
    return solve(spec, SolveOptions())


def look(plan: Plan) -> None:
    """Let a doctor look at all hosts and edges."""
    with measured("doctor"):
        found = Doctor(plan, Hosts(), str(plan.model.path), DOCTOR_S).examine()
    tried = sum(edge.trial is not None for edge in found.edges)
    print(f"  {len(found.hosts)} hosts, {tried} of {len(found.edges)} edges tried")
    wrong = [f.problem for host in found.hosts for f in host.findings if f.problem is not None]
    print(f"  problems: {wrong or 'none'}")


def launch(plan: Plan) -> None:
    """Start everything, send one request, and stop everything."""
    from hexplan_runtime.launch.pipeline import Pipeline
    from hexplan_runtime.request import Request

    pipeline = Pipeline(plan, start_timeout_s=START_S, hosts=Hosts())
    with measured("start"):
        pipeline.__enter__()
    try:
        with measured("one request of 8 + 8 tokens"):
            tokens = list(pipeline.generate([Request(tuple(range(8)), 8)]))
        assert len(tokens) == 8
    finally:
        with measured("stop"):
            pipeline.close()


@contextmanager
def measured(what: str) -> Iterator[None]:
    """Print how long something took: wall seconds, and CPU seconds of all that has ended by then.

    Ranks that run on count once they end, so a stop shows what they took since their start.
    """
    begun_s, used_s = time.monotonic(), _cpu_s()
    yield
    wall_s = time.monotonic() - begun_s
    load = os.getloadavg()[0]
    print(f"{what}: {wall_s:.1f} s, {_cpu_s() - used_s:.1f} CPU s, load {load:.1f}", flush=True)


def _cpu_s() -> float:
    used = [resource.getrusage(w) for w in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


if __name__ == "__main__":
    main()
