"""The text of an overlay, field by field: what was measured of a cluster that a file describes."""

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
    """Memory that others take, of each of its devices in their order."""


class OverlayCorrectionText(Text):
    """What stages of one kind were seen to take, over what is predicted of them."""

    device: DeviceName
    """Device type."""
    tp: Annotated[int, Field(gt=0, le=1024)]
    """Devices in the group, all of that type."""
    prefill: Factor = Decimal(1)
    """Seconds that prompts take, over what the spec's figures say."""
    decode: Factor = Decimal(1)
    """Seconds that decodes take, likewise."""
    layer_step: Seconds = Decimal(0)
    """What each step takes in each layer beside that, whatever it holds."""
    error: Annotated[Fraction, Field(lt=1)]
    """How far the corrected times may be off, such as `10%`."""
    source: Label
    """What was observed."""


class OverlayText(Text):
    """Measured figures that take the place of those in a cluster.yaml, which stays as it is."""

    version: Literal[1]
    """Version of this format."""
    overlay: Label
    """What made the file, and when."""
    links: Many[OverlayLinkText] = ()
    """Bandwidth and latency between two hosts; the trunk and the policy of their rule stay."""
    hosts: Many[OverlayHostText] = ()
    """What is taken of the devices of hosts."""
    corrections: Many[OverlayCorrectionText] = ()
    """What stages took when a plan ran; it changes their predicted speed."""
