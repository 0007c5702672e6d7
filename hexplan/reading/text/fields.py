"""The types of fields in a cluster.yaml: quantities with units, names, and short forms."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Literal, TypeVar

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

from hexplan.model import Model
from hexplan.reading.names import (
    check_address,
    check_device_count,
    check_device_name,
    check_device_slot,
    check_exclusion,
    check_label,
    check_name,
    check_range,
)
from hexplan.units import (
    BANDWIDTH,
    BYTES,
    COMPUTE,
    PRICE,
    RATE,
    TIME,
    USED_BYTES,
    Quantity,
    parse_bandwidth,
    parse_bytes,
    parse_compute,
    parse_fraction,
    parse_price,
    parse_rate,
    parse_seconds,
    parse_used_bytes,
)
from hexplan.wording import found

T = TypeVar("T")
_NvLink = Literal["nvlink", "nvlink2", "nvlink3", "nvlink4", "nvlink5"]
_Pcie = Literal["pcie3", "pcie4", "pcie5", "pcie6"]
_Pcie3 = Literal["pcie3x1", "pcie3x4", "pcie3x8", "pcie3x16"]
_Pcie4 = Literal["pcie4x1", "pcie4x4", "pcie4x8", "pcie4x16"]
_Pcie5 = Literal["pcie5x1", "pcie5x4", "pcie5x8", "pcie5x16"]
_Pcie6 = Literal["pcie6x1", "pcie6x4", "pcie6x8", "pcie6x16"]
_Thunderbolt = Literal["thunderbolt3", "thunderbolt4", "thunderbolt5"]
LinkName = Literal[_NvLink, _Pcie, _Pcie3, _Pcie4, _Pcie5, _Pcie6, _Thunderbolt]
"""Links between the devices of a host; `pcie4x8` is generation 4 over 8 lanes."""
_SIZES = Model.model_fields.keys() - {
    *("name", "dtype", "weights", "kv_dtype", "path", "max_context")
}
"""Fields that only a model in numbers has."""


def _schema(quantity: Quantity, example: str) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "pattern": quantity.pattern, "examples": [example]})


def mapping_or_value(value: object) -> str:
    """Return which form of a field that may be a mapping this is."""
    return "<mapping>" if isinstance(value, dict) else "<value>"


def list_or_value(value: object) -> str:
    """Return which form of a field that may be a list this is."""
    return "<list>" if isinstance(value, list) else "<value>"


def model_form(value: object) -> str:
    """Return which form of the field `model` this is."""
    if not isinstance(value, dict):
        return "<value>"
    if "path" in value:
        return "<folder>"
    return "<numbers>" if value.keys() & _SIZES else "<named>"


def _number(value: object) -> Decimal:
    """Return a plain number with the digits that the file has."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        message = f"found {found(value)}, needed a number"
        raise ValueError(message)
    return Decimal(repr(value))


Bytes = Annotated[int, BeforeValidator(parse_bytes), _schema(BYTES, "80GiB")]
UsedBytes = Annotated[int, BeforeValidator(parse_used_bytes), _schema(USED_BYTES, "1.2GiB")]
Bandwidth = Annotated[int, BeforeValidator(parse_bandwidth), _schema(BANDWIDTH, "25Gbps")]
Compute = Annotated[int, BeforeValidator(parse_compute), _schema(COMPUTE, "312 TFLOP/s")]
Seconds = Annotated[Decimal, BeforeValidator(parse_seconds), _schema(TIME, "0.2ms")]
Rate = Annotated[float, BeforeValidator(parse_rate), _schema(RATE, "5/s")]
Price = Annotated[Decimal, BeforeValidator(parse_price), _schema(PRICE, "12.3 USD/h")]
Fraction = Annotated[
    Decimal,
    BeforeValidator(parse_fraction),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "number", "exclusiveMinimum": 0, "maximum": 1},
                {"type": "string", "pattern": "^[0-9.]+ *%?$"},
            ]
        }
    ),
]
Factor = Annotated[
    Decimal,
    BeforeValidator(_number),
    Field(gt=0, le=1_000_000),
    WithJsonSchema({"type": "number", "exclusiveMinimum": 0, "maximum": 1_000_000}),
]
Tokens = Annotated[int, Field(gt=0, le=100_000_000)]
Name = Annotated[str, AfterValidator(check_name)]
NameRange = Annotated[str, AfterValidator(check_range)]
AddressRange = Annotated[str, AfterValidator(check_address)]
DeviceCount = Annotated[str, AfterValidator(check_device_count)]
Label = Annotated[str, AfterValidator(check_label)]
DeviceName = Annotated[str, AfterValidator(check_device_name)]
Exclusion = Annotated[str, AfterValidator(check_exclusion)]
DeviceSlot = Annotated[str, AfterValidator(check_device_slot)]
Many = Annotated[tuple[T, ...], Field(strict=False, max_length=100_000)]
"""A list: the longest, that of links, may name as many pairs as `read_links` takes."""
Pair = Annotated[tuple[T, T], Field(strict=False)]
