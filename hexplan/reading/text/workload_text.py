"""The text of a cluster.yaml's `workload`, field by field."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated

from pydantic import ConfigDict, Discriminator, Field, Tag, model_validator

from hexplan.reading.text.base import Text
from hexplan.reading.text.fields import Fraction, Label, Rate, Seconds, Tokens, mapping_or_value


class LengthsText(Text):
    """Token counts of one side of a request."""

    mean: Tokens
    """Mean number of tokens."""
    max: Tokens | None = None
    """The longest, for which each stage keeps room; the mean if left out."""


Lengths = Annotated[
    Annotated[Tokens, Tag("<value>")] | Annotated[LengthsText, Tag("<mapping>")],
    Discriminator(mapping_or_value),
]


class SloText(Text):
    """What users are promised."""

    ttft: Annotated[Seconds, Field(gt=0)]
    """Time to the first token: `2s`."""
    tpot: Annotated[Seconds, Field(gt=0)]
    """Mean time from one output token to the next: `100ms`."""
    attainment: Fraction = Decimal("0.99")
    """Share of requests that must meet both: `99%`."""


class WorkloadText(Text):
    """What the cluster is planned for: the lengths of requests, or a trace of them."""

    model_config = ConfigDict(
        json_schema_extra={
            "oneOf": [{"required": ["prompt_tokens", "output_tokens"]}, {"required": ["trace"]}]
        }
    )

    prompt_tokens: Lengths | None = None
    """Tokens that a request brings: a mean, or `{mean: 750, max: 2048}`."""
    output_tokens: Lengths | None = None
    """Tokens that a request asks for: a mean, or `{mean: 240, max: 1024}`."""
    trace: Label | None = None
    """A file (CSV or JSON lines) with the lengths; the path is relative to this file."""
    request_rate: Rate | None = None
    """Requests per time: `5/s`; the objectives latency and cost need it."""
    slo: SloText | None = None
    """What users are promised; the objective slo needs it."""

    @model_validator(mode="after")
    def _one_form(self) -> WorkloadText:
        given = [n for n in ("prompt_tokens", "output_tokens") if getattr(self, n) is not None]
        if self.trace is None and len(given) < 2:
            missing = "output_tokens" if given == ["prompt_tokens"] else "prompt_tokens"
            message = f"the field `{missing}` is missing"
            raise ValueError(message)
        if self.trace is not None and given:
            message = f"found `trace` and `{given[0]}`, needed one of them: a trace has the lengths"
            raise ValueError(message)
        return self
