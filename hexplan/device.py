"""Device types: what an accelerator or a CPU slot can hold, and how fast it is."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Literal

from pydantic import Field

from hexplan.field_types import Exact, Positive
from hexplan.frozen_model import FrozenModel


class KernelEfficiency(FrozenModel):
    """What the matrix kernels of one kind reach of a datasheet's peak figures.

    The defaults are assumed, for devices that nobody calibrated; the error says how unsure.
    """

    compute: Annotated[Exact, Field(gt=0, le=1)] = Decimal("0.5")
    """Share of the peak matrix rate [eta_compute]."""
    bandwidth: Annotated[Exact, Field(gt=0, le=1)] = Decimal("0.7")
    """Share of the peak memory bandwidth [eta_memory]."""
    exposed: Annotated[Exact, Field(le=1)] = Decimal(1)
    """Share of the shorter of work and reading that the longer does not hide [xi]; 1 adds them."""
    start_s: Annotated[Exact, Field(lt=1)] = Decimal(0)
    """What the kernels of one layer take in every step, whatever they work on [c]."""
    error: Annotated[Exact, Field(lt=1)] = Decimal("0.5")
    """How far times that rest on them may be off, as a share of them."""


class Efficiency(KernelEfficiency):
    """What a device reaches of its peak figures, first of all in dense 16-bit matrices."""

    attention: Annotated[Exact, Field(gt=0, le=1)] | None = None
    """Share of the peak matrix rate in attention [eta_A]; null means that of matrices."""
    attention_start_s: Annotated[Exact, Field(lt=1)] = Decimal(0)
    """The least that the attention of one layer takes in a step [c_A]."""
    fp8: KernelEfficiency | None = None
    """Dense matrices in 8-bit floats, if they were measured; null means as in 16 bits."""
    experts: KernelEfficiency | None = None
    """Experts in 16 bits, if they were measured."""
    fp8_experts: KernelEfficiency | None = None
    """Experts in 8-bit floats, if they were measured."""
    origin: str = "assumed"
    """What they rest on."""


DeviceKind = Literal["cuda", "rocm", "hpu", "xpu", "mps", "npu", "tpu", "cpu"]

_Rate = Annotated[Positive | None, Field(exclude_if=lambda rate: rate is None)]


class DeviceType(FrozenModel):
    """One kind of accelerator, or a CPU slot."""

    name: str
    """The name that hosts use."""
    kind: DeviceKind
    """Which torch backend drives it."""
    memory_bytes: Positive
    """Memory that the driver reports."""
    memory_bandwidth_bytes_per_s: Positive
    """Peak memory bandwidth."""
    compute_flops_per_s: Positive
    """Peak dense matrix rate in 16 bits with 32-bit sums (32 bits on a CPU)."""
    fp8_flops_per_s: Positive | None = None
    """Peak dense matrix rate in 8-bit floats, if it has one."""
    int8_ops_per_s: _Rate = None
    """Peak dense matrix rate in 8-bit integers, if it has one."""
    fp4_flops_per_s: _Rate = None
    """Peak dense matrix rate in 4-bit floats, if it has one."""
    float32_flops_per_s: _Rate = None
    """Peak rate in 32-bit floats, if known; else they count at the rate of 16 bits."""
    bfloat16: bool = True
    """Whether it computes in bfloat16."""
    arch: str | None = None
    """Its generation, such as `ampere`; measured speeds are scaled only within one."""
    overhead_bytes: Annotated[int, Field(ge=0)] = 0
    """What driver and framework take of the memory, besides everything that a plan counts."""
    in_use_bytes: Annotated[int, Field(ge=0)] = 0
    """What other processes take of the memory."""
    profiled_as: str | None = None
    """The device type whose profiles apply to it, if not its own."""
    efficiency: Efficiency = Efficiency()
    """Which shares of the peak figures it reaches."""
    origin: str
    """Where the figures come from."""

    def runs(self, dtype: str) -> bool:
        """Say whether it computes in a dtype such as `bfloat16`."""
        return self.bfloat16 or dtype != "bfloat16"

    def used_in_part(self, in_use_bytes: int) -> DeviceType:
        """Return the type with so much of its memory in use by others, and a name that says so."""
        own = self.profile_name
        whole = {"name": own, "in_use_bytes": 0, "profiled_as": None}
        if not in_use_bytes:
            return self.model_copy(update=whole)
        mebi, rest = divmod(in_use_bytes, 1 << 20)
        name = f"{own} ({f'{in_use_bytes} bytes' if rest else f'{mebi} MiB'} in use)"
        changed = {"name": name, "in_use_bytes": in_use_bytes, "profiled_as": own}
        return self.model_copy(update=changed)

    @property
    def profile_name(self) -> str:
        """The device type whose profiles apply to it."""
        return self.profiled_as or self.name
