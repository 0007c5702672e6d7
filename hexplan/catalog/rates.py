"""Peak rates of devices in types beside 16 bits and fp8, and the network of each device."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING

from hexplan.frozen_model import FrozenModel

if TYPE_CHECKING:
    from collections.abc import Mapping

_GIGA, _TERA = 10**9, 10**12


@dataclass(frozen=True, slots=True)
class Rates:
    """What is known of one device; None is unknown, or not there."""

    float32_flops_per_s: int | None = None
    """In 32-bit floats, without rounding to fewer bits."""
    int8_ops_per_s: int | None = None
    """In 8-bit integers: dense matrix rate."""
    fp4_flops_per_s: int | None = None
    """In 4-bit floats: dense matrix rate."""
    nic_bytes_per_s: int | None = None
    """What its share of a usual machine's network carries in one direction."""


class _Row(FrozenModel):
    """One device in data/rates.json."""

    name: str
    float32_tflops: Decimal | None = None
    int8_dense_tops: Decimal | None = None
    fp4_dense_tflops: Decimal | None = None
    nic_gb_per_s: Decimal | None = None
    source: str


class _File(FrozenModel):
    """All of data/rates.json."""

    comment: str
    devices: tuple[_Row, ...]


def find_rates(name: str) -> Rates:
    """Return what is known of a device, by its name in the catalog."""
    row = _rows().get(name)
    if row is None:
        return Rates()
    return Rates(
        float32_flops_per_s=_scaled(row.float32_tflops, _TERA),
        int8_ops_per_s=_scaled(row.int8_dense_tops, _TERA),
        fp4_flops_per_s=_scaled(row.fp4_dense_tflops, _TERA),
        nic_bytes_per_s=_scaled(row.nic_gb_per_s, _GIGA),
    )


def _scaled(figure: Decimal | None, unit: int) -> int | None:
    return None if figure is None else int(figure * unit)


@cache
def _rows() -> Mapping[str, _Row]:
    data = resources.files("hexplan.catalog").joinpath("data", "rates.json")
    file = _File.model_validate_json(data.read_text("utf-8"))
    return {row.name: row for row in file.devices}
