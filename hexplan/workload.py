"""The workload: how long requests are, how many arrive, and what a plan is made for."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Literal

from pydantic import Field

from hexplan.field_types import Exact
from hexplan.frozen_model import FrozenModel

Objective = Literal["balanced", "throughput", "sustained", "latency", "slo", "cost"]
"""What a plan is made for (docs/formulation.md 9)."""
DEFAULT_OBJECTIVE: Objective = "balanced"
"""What an operator wants who states nothing."""
JudgedBy = Literal["simulation", "formula"]
"""What a rate and its latencies come from."""


class Lengths(FrozenModel):
    """Token counts of one side of a request."""

    mean: Annotated[int, Field(gt=0)]
    """Mean number of tokens."""
    max: Annotated[int, Field(gt=0)]
    """The largest number of tokens, for which every stage must have room."""


class Slo(FrozenModel):
    """The latencies that users are promised."""

    ttft_s: Annotated[Exact, Field(gt=0)]
    """Time to the first token."""
    tpot_s: Annotated[Exact, Field(gt=0)]
    """Mean time from one output token to the next."""
    attainment: Annotated[Exact, Field(gt=0, le=1)] = Decimal("0.99")
    """Share of requests that must meet both."""


class Workload(FrozenModel):
    """What the cluster is planned for."""

    prompt_tokens: Lengths
    """Tokens of a request's prompt."""
    output_tokens: Lengths
    """Tokens of a request's output."""
    request_rate_per_s: Annotated[float, Field(gt=0)] | None = None
    """Requests per second, if known."""
    slo: Slo | None = None
    """The promised latencies, if the spec states any."""
    trace: str | None = None
    """The file from which the lengths were read, as the spec names it."""

    @property
    def mean_tokens(self) -> int:
        """Prompt and output tokens of a mean request, which are counted alike."""
        return self.prompt_tokens.mean + self.output_tokens.mean

    @property
    def mean_context_tokens(self) -> int:
        """Context of a decode of a mean request, halfway through its output."""
        return self.prompt_tokens.mean + self.output_tokens.mean // 2

    @property
    def max_tokens(self) -> int:
        """Prompt and output tokens of the longest request."""
        return self.prompt_tokens.max + self.output_tokens.max


class HeldBack(FrozenModel):
    """Routes that carry a part of their share of the largest flow, as they are slow."""

    part: Annotated[Exact, Field(gt=0, lt=1)]
    """What they keep of the flow."""
    routes: Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(min_length=1)]
    """Their positions among the plan's routes, in ascending order."""


class Balance(FrozenModel):
    """The latencies that the objective `balanced` allows: a multiple of the shallowest plan's."""

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
    held_back: HeldBack | None = None
    """The routes that are held back, if any are."""
