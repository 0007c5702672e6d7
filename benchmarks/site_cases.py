"""Clusters of two and three sites, as specs and as what emulates them."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from site_hosts import SiteHost, SiteLink

sys.path.append(str(Path(__file__).resolve().parents[1] / "tests"))

from support.networks import SUBNET

SPEC: Final = """
version: 1
name: {name}
model: {{path: {path}, dtype: float32}}
workload:
  prompt_tokens: {{mean: {prompt}, max: {longest_prompt}}}
  output_tokens: {{mean: {output}, max: {longest_output}}}
objective: {objective}
limits: {{parallel: [tp]}}
coordinator: {{site: {home}, nic: 1GB/s}}
profiles: {speeds}
devices:
{devices}
hosts:
{hosts}
links:
{links}
"""
MODEL: Final[dict[str, Any]] = {
    "hidden_size": 1024,
    "intermediate_size": 256,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 1,
    "head_dim": 64,
    "vocab_size": 2048,
    "tie_word_embeddings": True,
    "max_position_embeddings": 4096,
    "initializer_range": 0.05,
    "dtype": "float32",
}
"""Wide activations and little to compute: links set the times, and hosts share two processors."""


@dataclass(frozen=True, slots=True)
class SiteCase:
    """A cluster; the coordinator is at the site of the first host."""

    name: str
    hosts: tuple[SiteHost, ...]
    links: tuple[SiteLink, ...]
    prompt_tokens: int = 96
    output_tokens: int = 48
    memory: str = "48MiB"
    pins: tuple[str, ...] = ()

    @property
    def kinds(self) -> list[SiteHost]:
        """One host of each kind of device."""
        return list({host.device: host for host in self.hosts}.values())

    def spec(self, objective: str, model: Path, speeds: Path) -> str:
        """Return the text of the cluster.yaml."""
        rates = "memory_bandwidth: 10GB/s, compute: 50 GFLOP/s"
        devices = [
            f"  {host.device}: {{kind: cpu, memory: {self.memory}, {rates}}}" for host in self.kinds
        ]
        hosts = [
            f"  - {{name: {host.name}, site: {host.site}, address: {SUBNET}.{10 + number},"
            f" devices: {host.device}, nic: 1GB/s}}"
            for number, host in enumerate(self.hosts)
        ]
        sites = dict.fromkeys(host.site for host in self.hosts)
        links = [f"  - {{within: {site}, bandwidth: 1GB/s, latency: 0.1ms}}" for site in sites]
        links += [
            f"  - {{between: [{link.first}, {link.second}], bandwidth: {link.mbit_per_s}Mbps,"
            f" latency: {1000 * link.latency_s:g}ms}}"
            for link in self.links
        ]
        text = SPEC.format(
            name=self.name,
            path=model.resolve(),
            prompt=self.prompt_tokens,
            longest_prompt=4 * self.prompt_tokens,
            output=self.output_tokens,
            longest_output=4 * self.output_tokens,
            objective=objective,
            home=self.hosts[0].site,
            speeds=speeds.resolve(),
            devices="\n".join(devices),
            hosts="\n".join(hosts),
            links="\n".join(links),
        )
        if self.pins:
            text += "pin:\n" + "\n".join(f"  - {{{pin}}}" for pin in self.pins) + "\n"
        return text


CASES: Final = {
    case.name: case
    for case in (
        SiteCase(
            "two",
            (SiteHost("ada", "paris"), SiteHost("bob", "oslo")),
            (SiteLink("paris", "oslo", 0.02, 20.0),),
            pins=("host: ada, layers: [0, 2]", "host: bob, layers: [2, 4]"),
        ),
        SiteCase(
            "three",
            (SiteHost("ada", "paris"), SiteHost("bob", "oslo", 0.5), SiteHost("cyd", "rome")),
            (
                SiteLink("paris", "oslo", 0.02, 20.0),
                SiteLink("oslo", "rome", 0.03, 20.0),
                SiteLink("paris", "rome", 0.04, 20.0),
            ),
            pins=(
                "host: ada, layers: [0, 2]",
                "host: bob, layers: [2, 3]",
                "host: cyd, layers: [3, 4]",
            ),
        ),
        SiteCase(
            "far",
            (SiteHost("ada", "paris"), SiteHost("bob", "lyon"), SiteHost("cyd", "oslo")),
            (
                SiteLink("paris", "lyon", 0.005, 20.0),
                SiteLink("paris", "oslo", 0.1, 20.0),
                SiteLink("lyon", "oslo", 0.1, 20.0),
            ),
            memory="36MiB",
        ),
    )
}
