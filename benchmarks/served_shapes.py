"""Shapes of plans over two processors of this machine, each of which counts as one device."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

SPEC: Final = """
version: 1
name: {shape}
model: {{path: {path}, dtype: {dtype}}}
workload:
  prompt_tokens: {{mean: {prompt}, max: {longest_prompt}}}
  output_tokens: {{mean: {output}, max: {longest_output}}}
objective: throughput
limits: {{parallel: [tp]}}
devices:
  core: {{kind: cpu, memory: 4GiB, memory_bandwidth: 10GB/s, compute: 50 GFLOP/s}}
coordinator: {{site: here, nic: 2GB/s}}
links: [{{within: here, bandwidth: 2GB/s, latency: {latency}}}]
profiles: {profile}
"""
HOSTS: Final = {
    "one": "hosts: [{{name: h0, site: here, devices: core, nic: 2GB/s}}]\n",
    "two": 'hosts: [{{name: "h[0-1]", site: here, devices: core, nic: 2GB/s}}]\n'
    "pin: [{{host: h0, layers: [0, {half}]}}, {{host: h1, layers: [{half}, {layers}]}}]\n",
    "tp2": "hosts: [{{name: h0, site: here, devices: 2 x core, nic: 2GB/s,"
    " interconnect: {{bandwidth: 2GB/s, latency: 50us}}}}]\n"
    "pin: [{{same_stage: [h0/0, h0/1]}}]\n",
    "replicas": 'hosts: [{{name: "h[0-1]", site: here, devices: core, nic: 2GB/s}}]\n'
    "pin: [{{host: h0, layers: [0, {layers}]}}, {{host: h1, layers: [0, {layers}]}}]\n",
}


@dataclass(frozen=True, slots=True)
class Subject:
    """What is served."""

    folder: Path
    """Where the model is."""
    layers: int
    dtype: str
    profile: Path
    latency: str
    """Latency of a link, as a spec states it."""
    prompt_tokens: int = 96
    output_tokens: int = 48

    def spec(self, shape: str) -> str:
        """Return the text of the cluster.yaml of a shape."""
        return (SPEC + HOSTS[shape]).format(
            shape=shape,
            path=self.folder.resolve(),
            dtype=self.dtype,
            prompt=self.prompt_tokens,
            longest_prompt=4 * self.prompt_tokens,
            output=self.output_tokens,
            longest_output=4 * self.output_tokens,
            latency=self.latency,
            profile=self.profile.resolve(),
            layers=self.layers,
            half=self.layers // 2,
        )
