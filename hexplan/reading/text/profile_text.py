"""The text of a profile, field by field."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from hexplan.reading.text.base import Text
from hexplan.reading.text.fields import Fraction, Label, Many

CountText = Annotated[int, Field(gt=0, le=10**12)]
StepPointText = Annotated[
    tuple[Annotated[int, Field(ge=0, le=10**9)], Annotated[float, Field(ge=0, le=1e6)]],
    Field(strict=False),
]


class MeasuredStageText(Text):
    """Measured speeds of one kind of stage."""

    device: Label
    """Device type."""
    tp: Annotated[int, Field(gt=0, le=1024)]
    """Devices in the group."""
    tokens_per_s: Annotated[Many[Annotated[float, Field(ge=1e-6, le=1e9)]], Field(min_length=1)]
    """Tokens/s of the group with 1, 2, ... layers."""
    prefill_layer_s: Many[StepPointText] = ()
    """`[tokens, seconds]` of one layer in a step of prompts, by ascending tokens."""
    decode_layer_s: Many[StepPointText] = ()
    """`[tokens, seconds]` of one layer in a step of decodes, by ascending tokens."""
    head_s: Many[StepPointText] = ()
    """`[rows, seconds]` of the output head with sampling, by ascending rows; needs both tables of
    layers."""
    step_s: Many[StepPointText] = ()
    """`[rows, seconds]` of a step besides its layers and the head, by ascending rows; needs both
    tables of layers."""
    kv_tokens: Many[CountText] = ()
    """Tokens of context that it had room for with 1, 2, ... layers."""
    max_prompts: Many[CountText] = ()
    """Prompts that it put into one step with 1, 2, ... layers."""
    max_decode_tokens: Many[CountText] = ()
    """Tokens that it decoded in one step with 1, 2, ... layers."""
    slowdown: Annotated[float, Field(ge=1, le=10)] | None = None
    """How many times as long computing and summing up took while both went on."""
    host_link_bytes_per_s: Annotated[float, Field(ge=1, le=1e15)] | None = None
    """What each device of the group fetched from host memory a second."""
    error: Annotated[Fraction, Field(lt=1)] | None = None
    """How far its times may be off, such as `3%`; 10 % if left out."""


class ProfileText(Text):
    """A file with measured speeds."""

    version: Literal[1]
    """Version of this format."""
    model: Label
    """The model that was measured, by name."""
    source: Label
    """Who measured it, and how."""
    stages: Annotated[Many[MeasuredStageText], Field(min_length=1)]
    """Each kind of stage that was measured."""
