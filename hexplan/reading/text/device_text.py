"""The text of the field `devices`: changes to the catalog's, and new device types."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from hexplan.device import DeviceKind
from hexplan.reading.text.base import Text
from hexplan.reading.text.fields import Bandwidth, Bytes, Compute, Fraction


class EfficiencyText(Text):
    """Shares of the peak figures that a device reaches; work and reading then add up."""

    compute: Fraction
    """Share of the peak matrix rate: `45%`."""
    bandwidth: Fraction
    """Share of the peak memory bandwidth: `85%`."""
    error: Annotated[Fraction, Field(lt=1)]
    """How far times computed from them may be off: `15%`."""


class DeviceText(Text):
    """A device type: changes to one of the catalog, or all figures of a new one."""

    kind: DeviceKind | None = None
    """Which torch backend drives it."""
    memory: Bytes | None = None
    """Memory that the driver reports."""
    memory_bandwidth: Bandwidth | None = None
    """Peak memory bandwidth."""
    compute: Compute | None = None
    """Peak dense matrix rate in 16 bits with 32-bit sums (32 bits on a CPU)."""
    fp8_compute: Compute | None = None
    """Peak dense matrix rate in 8-bit floats, if it has one."""
    int8_compute: Compute | None = None
    """Peak dense matrix rate in 8-bit integers, if it has one."""
    fp4_compute: Compute | None = None
    """Peak dense matrix rate in 4-bit floats, if it has one."""
    float32_compute: Compute | None = None
    """Peak rate in 32-bit floats, for models in float32."""
    bfloat16: bool | None = None
    """Whether it computes in bfloat16; true for a new device if left out."""
    overhead: Bytes | None = None
    """Memory that driver and framework take; if left out, 512 MiB of a GPU."""
    efficiency: EfficiencyText | None = None
    """How much of the peak figures it reaches: `{compute: 45%, bandwidth: 85%, error: 15%}`."""


NEEDED = ("kind", "memory", "memory_bandwidth", "compute")
"""What a new device type must state."""
