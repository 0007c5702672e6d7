"""What a stage takes besides its kernels (docs/formulation.md 4)."""

from __future__ import annotations

from dataclasses import dataclass

from hexplan.cluster import Cluster


@dataclass(frozen=True, slots=True)
class Overheads:
    """Seconds that times by the datasheet lack, and measured times include."""

    step_s: float = 0.0
    """Of every step."""
    token_s: float = 0.0
    """Of every output token, on the last stage."""

    @classmethod
    def of(cls, cluster: Cluster) -> Overheads:
        """Return those that a cluster states."""
        limits = cluster.limits
        return cls(float(limits.step_overhead_s), float(limits.token_overhead_s))


NO_OVERHEADS = Overheads()
