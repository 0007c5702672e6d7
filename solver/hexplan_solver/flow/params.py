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


FLOW_PARAMS = FlowParams()
