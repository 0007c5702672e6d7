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
    """The longest that a stage must have room for, in tokens."""


class Slo(FrozenModel):
    """What users are promised."""

    ttft_s: Annotated[Exact, Field(gt=0)]
    """Time to the first token."""
    tpot_s: Annotated[Exact, Field(gt=0)]
    """Mean time from one output token to the next."""
    attainment: Annotated[Exact, Field(gt=0, le=1)] = Decimal("0.99")
    """Share of requests that must meet both."""


class Workload(FrozenModel):
    """What the cluster is planned for."""

    prompt_tokens: Lengths
    """Tokens that a request brings."""
    output_tokens: Lengths
    """Tokens that a request asks for."""
    request_rate_per_s: Annotated[float, Field(gt=0)] | None = None
    """Requests per second, where known."""
    slo: Slo | None = None
    """What users are promised, where the spec says."""
    trace: str | None = None
    """The file that the lengths were read from, as the spec names it."""

    @property
    def mean_tokens(self) -> int:
        """Prompt and output tokens of a mean request, which are counted alike."""
        return self.prompt_tokens.mean + self.output_tokens.mean

    @property
    def max_tokens(self) -> int:
        """Prompt and output tokens of the longest request."""
        return self.prompt_tokens.max + self.output_tokens.max
