"""The workload: how long requests are, and how many arrive."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated

from pydantic import Field

from hexplan.field_types import Exact
from hexplan.frozen_model import FrozenModel


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
