"""What devices reach of their datasheets' peak figures, by what was measured nearest."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from importlib import resources

from hexplan.device import Efficiency, KernelEfficiency
from hexplan.frozen_model import FrozenModel

_KINDS = ("fp8", "experts", "fp8_experts")


@dataclass(frozen=True, slots=True)
class Chip:
    """What tells chips apart."""

    arch: str
    tflops: Decimal
    """Peak dense matrix rate in 16 bits."""
    gb_per_s: Decimal
    """Peak memory bandwidth."""


class _Measured(FrozenModel):
    """One chip in data/efficiency.json."""

    device: str
    arch: str
    tflops: Decimal
    gb_per_s: Decimal
    efficiency: Efficiency

    def distance(self, chip: Chip) -> Decimal:
        """Return how far the memory bandwidths are apart, as a factor of at least 1."""
        low, high = sorted((self.gb_per_s, chip.gb_per_s))
        return high / low

    def is_same(self, chip: Chip) -> bool:
        """Say whether both are one chip: of one architecture, with one peak rate."""
        return (self.arch, self.tflops) == (chip.arch, chip.tflops)


class _EfficiencyFile(FrozenModel):
    """All of data/efficiency.json."""

    comment: str
    chips: tuple[_Measured, ...]
    other: Efficiency


def find_efficiency(chip: Chip) -> Efficiency:
    """Return what a chip reaches of its peak figures.

    Devices of one architecture and one peak rate are one chip; the error of its figures is known.
    Another chip takes the figures of the chip of its architecture whose memory is nearest in
    bandwidth, and a chip of an architecture that nobody measured takes those that fit all chips;
    both have the error of leaving a chip out.
    """
    known = _file()
    relatives = [row for row in known.chips if row.arch == chip.arch]
    if not relatives:
        names = ", ".join(row.device for row in known.chips)
        return known.other.model_copy(update={"origin": f"calibrated on other kinds: {names}"})
    nearest = min(relatives, key=lambda row: (not row.is_same(chip), row.distance(chip)))
    if nearest.is_same(chip):
        return nearest.efficiency.model_copy(update={"origin": f"calibrated on {nearest.device}"})
    origin = f"calibrated on another chip, {nearest.device}"
    return _less_sure(nearest.efficiency, known.other).model_copy(update={"origin": origin})


def _less_sure(measured: Efficiency, other: Efficiency) -> Efficiency:
    """Return the figures of one chip with the errors of leaving a chip out."""
    changed: dict[str, Decimal | KernelEfficiency] = {"error": other.error}
    for kind in _KINDS:
        own, left_out = getattr(measured, kind), getattr(other, kind)
        if own is not None and left_out is not None:
            error = max(own.error, left_out.error)
            changed[kind] = own.model_copy(update={"error": error})
    return measured.model_copy(update=changed)


@cache
def _file() -> _EfficiencyFile:
    text = resources.files("hexplan.catalog").joinpath("data", "efficiency.json").read_text("utf-8")
    return _EfficiencyFile.model_validate_json(text)
