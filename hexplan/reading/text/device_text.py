"""The text of the field `devices`: what differs from the catalog, and new device types."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from hexplan.reading.text.base import Text
from hexplan.reading.text.fields import Bandwidth, Bytes, Compute, Fraction, Kind


class EfficiencyText(Text):
    """Shares of the peak figures that a device reaches; work and reading then add up."""

    compute: Fraction
    """Share of the peak matrix rate: `45%`."""
    bandwidth: Fraction
    """Share of the peak memory bandwidth: `85%`."""
    error: Annotated[Fraction, Field(lt=1)]
    """How far times that rest on them may be off: `15%`."""


class DeviceText(Text):
    """A device type: what differs from the catalog, or everything about a new one."""

    kind: Kind | None = None
    """Which torch backend drives it."""
    memory: Bytes | None = None
    """Memory that the driver reports."""
    memory_bandwidth: Bandwidth | None = None
    """Peak memory bandwidth."""
    compute: Compute | None = None
    """Peak dense matrix rate in 16 bits with 32-bit sums (32 bits on a CPU)."""
    fp8_compute: Compute | None = None
    """Peak dense matrix rate in 8-bit floats, where it has one."""
    bfloat16: bool | None = None
    """Whether it computes in bfloat16; a new device does, unless this says otherwise."""
    overhead: Bytes | None = None
    """What driver and framework take of the memory; by default 512 MiB of an accelerator."""
    efficiency: EfficiencyText | None = None
    """How much of the peak figures it reaches: `{compute: 45%, bandwidth: 85%, error: 15%}`."""


NEEDED = ("kind", "memory", "memory_bandwidth", "compute")
"""What a new device type must state."""
