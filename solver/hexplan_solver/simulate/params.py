"""Constants of the simulator that a person may want to change."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SimulateParams:
    """How finely a simulation is recorded, and what it reads.

    The values were chosen by hand, where nothing else is said.
    """

    gap_steps: int = 100
    """Recorder: steps of the histogram of gaps per factor e; its values are exact to 1 %."""
    warmup_batch: int = 5
    """Recorder: snapshots in one mean of the rule MSER-5, which is named for it."""
    long_enough: float = 5.0
    """Summary: a run is long against a request where it measures so many times a request's stay."""

    first_response_s: float = 0.05
    """SWARM's router: response time of an edge that has not been used, from Helix's artifact."""
    response_share: float = 0.8
    """SWARM's router: share of the newest response in the moving average, from Helix's artifact."""

    host_bytes_per_s: float = 20e9
    """Queueing: what moves between a device and its host's memory, as over 16 lanes of PCIe 4."""

    max_requests: int = 5_000_000
    """Traces: requests that are read, at most."""
    longest_line_chars: int = 1 << 20
    """Traces: characters of a line, at most."""
    most_tokens: int = 10**7
    """Traces: tokens of a prompt or an output, at most."""


SIMULATE_PARAMS = SimulateParams()
