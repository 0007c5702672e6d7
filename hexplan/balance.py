"""The balance: which latencies the objective `balanced` allows, and what they come from."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from hexplan.field_types import Exact
from hexplan.frozen_model import FrozenModel

JudgedBy = Literal["simulation", "formula"]
"""What a rate and its latencies come from."""


class Balance(FrozenModel):
    """The latencies of the shallowest plan at its own sustained rate, times the factor."""

    factor: Annotated[Exact, Field(ge=1)]
    """`limits.latency_factor` of the cluster."""
    ttft_s: Annotated[Exact, Field(ge=0)]
    """The longest mean time to the first token that is allowed."""
    tpot_s: Annotated[Exact, Field(ge=0)]
    """The longest mean time from one output token to the next that is allowed."""
    hops: Annotated[Exact, Field(ge=1)]
    """Stages that a mean request visits on the shallowest plan."""
    judged_by: JudgedBy
    """Where these times and those of the plan come from: both from the same."""
