"""Constants of the flow's computation that a person may want to change."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FlowParams:
    """When the flow is computed by sites, and how exact the result must be."""

    site_lp_stages: int = 60
    """Stages from which the LP over sites is tried. With fewer, the LP with a variable for each two
    stages is fast enough; chosen by trial on clusters whose sites share trunks."""
    may_lose: float = 5e-7
    """Share of the LP's flow that rounding, or a link between two hosts, may cost. `check` allows a
    certificate twice as much."""

    dense_arcs: int = 5_000
    """With more arcs, the LP over arcs begins with some of them, and exact methods that visit every
    arc in Python are left out. These four were chosen by trial on `large` clusters of
    benchmarks/odd_specs.py (280 to 1,264 stages, up to 180,000 arcs): with 2 to 4 first arcs the LP
    takes a tenth of the time that all arcs take, with 1 or 8 a fifth."""
    first_arcs: int = 3
    """Arcs into and out of each stage with which the LP begins, at least."""
    added_arcs: int = 3
    """Most arcs that are added at a time for each stage and direction."""

    large_stages: int = 200
    """From so many stages on, no flow is computed twice that is known: it takes seconds."""


FLOW_PARAMS = FlowParams()
