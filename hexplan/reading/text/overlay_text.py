"""The text of an overlay, field by field: what was measured on a cluster."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Literal

from pydantic import Field

from hexplan.reading.text.base import Text
from hexplan.reading.text.fields import (
    Bandwidth,
    DeviceName,
    Factor,
    Fraction,
    Label,
    Many,
    Name,
    Seconds,
    UsedBytes,
)


class OverlayLinkText(Text):
    """What was measured from one host to another."""

    from_: Annotated[Name, Field(alias="from")]
    """A host, or `coordinator`."""
    to: Name
    """A host, or `coordinator`."""
    bandwidth: Bandwidth
    """What it carries in this direction."""
    latency: Seconds
    """One-way latency."""


class OverlayHostText(Text):
    """What was found on one host."""

    name: Name
    """The host."""
    in_use: Annotated[Many[UsedBytes], Field(min_length=1)]
    """Memory that others take of each of its devices, in their order."""


class OverlayCorrectionText(Text):
    """How the observed times of one kind of stage differ from the predicted ones."""

    device: DeviceName
    """Device type."""
    tp: Annotated[int, Field(gt=0, le=1024)]
    """Devices in the group, all of that type."""
    prefill: Factor = Decimal(1)
    """Observed seconds of prompts, divided by the predicted ones."""
    decode: Factor = Decimal(1)
    """Observed seconds of decodes, divided by the predicted ones."""
    layer_step: Seconds = Decimal(0)
    """Seconds that each step adds in each layer, whatever it holds."""
    error: Annotated[Fraction, Field(lt=1)]
    """How far the corrected times may be off, such as `10%`."""
    source: Label
    """What was observed."""


class OverlayText(Text):
    """Measured figures that replace those in a cluster.yaml; that file does not change."""

    version: Literal[1]
    """Version of this format."""
    overlay: Label
    """What made the file, and when."""
    links: Many[OverlayLinkText] = ()
    """Bandwidth and latency between two hosts; the trunk and the policy of their rule stay."""
    hosts: Many[OverlayHostText] = ()
    """Memory in use on the devices of hosts."""
    corrections: Many[OverlayCorrectionText] = ()
    """Corrections of predicted times, from the times of a launch."""
