"""The workload: how long requests are, and how many arrive."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from hexplan.noun import Noun


class Lengths(Noun):
    """Token counts of one side of a request."""

    mean: Annotated[int, Field(gt=0)]
    """Mean number of tokens."""
    max: Annotated[int, Field(gt=0)]
    """The longest that a stage must have room for, in tokens."""


class Workload(Noun):
    """What the cluster is planned for."""

    prompt_tokens: Lengths
    """Tokens that a request brings."""
    output_tokens: Lengths
    """Tokens that a request asks for."""
    request_rate_per_s: Annotated[float, Field(gt=0)] | None = None
    """Requests per second, where known."""

    @property
    def mean_tokens(self) -> int:
        """Prompt and output tokens of a mean request, which are counted alike."""
        return self.prompt_tokens.mean + self.output_tokens.mean

    @property
    def max_tokens(self) -> int:
        """Prompt and output tokens of the longest request."""
        return self.prompt_tokens.max + self.output_tokens.max
