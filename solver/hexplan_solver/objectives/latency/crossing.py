"""How long prompts and tokens take from one host to another."""

from __future__ import annotations

from dataclasses import dataclass

from hexplan.cluster import COORDINATOR
from hexplan.cost import token_bytes
from hexplan.spec import Spec


@dataclass(frozen=True, slots=True)
class Crossing:
    """Mean seconds between two ends, each a host or the coordinator."""

    prompt_s: float
    """Of a whole prompt."""
    token_s: float
    """Of one decoded token."""

    def request_s(self, output_tokens: int) -> float:
        """Return what it adds to a request: its prompt, and every token but the first."""
        return self.prompt_s + (output_tokens - 1) * self.token_s


def crossing_of(spec: Spec, source: str, target: str) -> Crossing | None:
    """Return the times from one end to another, or None where no link carries activations.

    The coordinator gets only one token for each prompt.
    """
    cluster = spec.cluster
    wire = (
        cluster.host_by_name[source].interconnect
        if source == target
        else cluster.link(source, target)
    )
    if wire is None:
        return None
    one_s = token_bytes(spec.cluster, spec.model, source, target) / wire.bandwidth_bytes_per_s
    tokens = 1 if target == COORDINATOR else spec.workload.prompt_tokens.mean
    is_hop = COORDINATOR not in (source, target)
    passed_s = float(wire.latency_s) + (float(cluster.limits.hop_overhead_s) if is_hop else 0.0)
    return Crossing(passed_s + tokens * one_s, passed_s + one_s)
