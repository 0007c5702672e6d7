"""Generated clusters of any size: eight kinds of GPU on four sites, for Llama-2-70B."""

from __future__ import annotations

import random
from collections import Counter

KINDS = {
    "H100-SXM": "nvlink4",
    "A100-80GB-SXM": "nvlink3",
    "V100-SXM2-32GB": "nvlink2",
    "L40S": "pcie4",
    "A40": "pcie4",
    "A10": "pcie4",
    "L4": "pcie4",
    "T4": "pcie3",
}
"""Device types, each with the interconnect of its hosts."""
SITES = ("ashburn", "dublin", "osaka", "sydney")
HOST_SIZES = (1, 2, 4, 8)


def cluster_text(num_devices: int, seed: int = 0, trunk: str | None = None) -> str:
    """Return a cluster.yaml with this many devices, whose links bind only if there is a trunk.

    Site, kind and size of each host are drawn at random, all with equal probability.

    Parameters
    ----------
    trunk
        What the line between two sites carries for all pairs of hosts together, such as `10Gbps`.
    """
    hosts = _draw(num_devices, random.Random(seed))  # noqa: S311
    lines = [
        "version: 1",
        f"name: scale-{num_devices}",
        "objective: throughput",
        "model: llama-2-70b",
        "workload:",
        "  prompt_tokens: {mean: 750, max: 2048}",
        "  output_tokens: {mean: 240, max: 1000}",
        "hosts:",
    ]
    for (site, kind, size), count in sorted(hosts.items()):
        name = f"{site}-{kind.lower()}-x{size}-[0-{count - 1}]"
        lines.append(f'  - name: "{name}"')
        lines.append(f"    site: {site}")
        lines.append(f"    devices: {size} x {kind}")
        lines.append("    nic: 400Gbps")
        if size > 1:
            lines.append(f"    interconnect: {KINDS[kind]}")
    lines += [f"coordinator: {{site: {SITES[0]}, nic: 400Gbps}}", "links:"]
    lines += [f"  - {{within: {site}, bandwidth: 400Gbps, latency: 0.1ms}}" for site in SITES]
    shared = f", trunk: {trunk}" if trunk else ""
    for i, site in enumerate(SITES):
        for other in SITES[i + 1 :]:
            ends = f"between: [{site}, {other}]"
            lines.append(f"  - {{{ends}, bandwidth: 400Gbps, latency: 40ms{shared}}}")
    return "\n".join(lines) + "\n"


def _draw(num_devices: int, rng: random.Random) -> Counter[tuple[str, str, int]]:
    hosts: Counter[tuple[str, str, int]] = Counter()
    left = num_devices
    while left:
        site, kind = rng.choice(SITES), rng.choice(tuple(KINDS))
        size = rng.choice([size for size in HOST_SIZES if size <= left])
        hosts[site, kind, size] += 1
        left -= size
    return hosts
