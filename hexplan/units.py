"""Quantities as people write them (`24GiB`, `25Gbps`, `3ms`), read exactly into SI units."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Context, Decimal
from types import MappingProxyType
from typing import TYPE_CHECKING

from hexplan.errors import InputError
from hexplan.wording import found

if TYPE_CHECKING:
    from collections.abc import Mapping

LARGEST = Decimal("1e21")
"""The largest quantity accepted, in bytes, bytes/s, FLOP/s or seconds; no cluster has more."""

KIB, MIB, GIB = 2**10, 2**20, 2**30
"""Bytes of a KiB, a MiB and a GiB."""

DIGITS = 15
"""The most significant digits of a quantity: a JSON number carries 15 unchanged."""

_EXACT = Context(prec=60)
_ROUNDED = Context(prec=DIGITS)
_LONGEST_TEXT = 40
_QUANTITY = re.compile(
    r"(?P<sign>[+-]?)(?P<number>(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,2})?)"
    r" *(?P<unit>.*)"
)
_FRACTION = re.compile(r"(?P<number>[0-9]+(?:\.[0-9]*)?|\.[0-9]+) *(?P<percent>%?)")
_SHARE = "a share above 0 and at most 1"
_BITS = re.compile(r"([kMGTg]i?)?(b|bits?)")


class QuantityError(InputError, ValueError):
    """A text is not the kind of quantity that is needed."""


@dataclass(frozen=True, slots=True)
class Quantity:
    """A kind of quantity: its name in messages, its units, and how to write it."""

    noun: str
    """With its article, as in `found 25, needed a bandwidth`."""
    scales: Mapping[str, Decimal]
    """The value of each unit in SI units."""
    hint: str
    """How to write it, as a hint."""
    may_be_zero: bool = False
    """Whether zero is valid."""

    @property
    def pattern(self) -> str:
        """A regular expression for accepted texts, for JSON Schema."""
        units = "|".join(re.escape(unit) for unit in self.scales)
        return rf"^\+?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]{{1,2}})? *({units})$"


def _scales(unit: str, prefixes: Mapping[str, int], one: str = "1") -> dict[str, Decimal]:
    return {f"{prefix}{unit}": Decimal(one) * scale for prefix, scale in prefixes.items()}


_THOUSANDS = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
_BINARY = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40}
_LARGE = {"M": 10**6, "G": 10**9, "T": 10**12, "P": 10**15}
_BIT = "0.125"

BYTES = Quantity(
    "an amount of memory",
    MappingProxyType(_scales("B", _THOUSANDS | _BINARY)),
    "write `80GB` (10^9 bytes) or `80GiB` (2^30 bytes); prefixes are k, M, G, T, Ki, Mi, Gi, Ti",
)
USED_BYTES = Quantity("an amount of memory", BYTES.scales, BYTES.hint, may_be_zero=True)
BANDWIDTH = Quantity(
    "a bandwidth",
    MappingProxyType(
        _scales("bps", _THOUSANDS, _BIT)
        | _scales("b/s", _THOUSANDS, _BIT)
        | _scales("bit/s", _THOUSANDS, _BIT)
        | _scales("B/s", _THOUSANDS | _BINARY)
    ),
    "write `25Gbps` for bits or `3.1GB/s` for bytes; prefixes are k, M, G, T, and Ki, Mi, Gi, Ti"
    " for bytes",
)
TIME = Quantity(
    "a time",
    MappingProxyType(
        {
            "ns": Decimal("1e-9"),
            "us": Decimal("1e-6"),
            "\N{MICRO SIGN}s": Decimal("1e-6"),
            "\N{GREEK SMALL LETTER MU}s": Decimal("1e-6"),
            "ms": Decimal("1e-3"),
            "s": Decimal(1),
            "min": Decimal(60),
            "h": Decimal(3600),
        }
    ),
    "write `3ms` or `30s`; units are ns, us, ms, s, min, h",
    may_be_zero=True,
)
RATE = Quantity(
    "a rate",
    MappingProxyType({"/s": Decimal(1), "/min": 1 / Decimal(60), "/h": 1 / Decimal(3600)}),
    "write `5/s`, `300/min` or `18000/h`",
)
COMPUTE = Quantity(
    "a compute rate",
    MappingProxyType(_scales("FLOP/s", _LARGE) | _scales("FLOPS", _LARGE)),
    "write `312 TFLOP/s`; prefixes are M, G, T, P",
)
PRICE = Quantity(
    "a price",
    MappingProxyType({"USD/h": Decimal(1)}),
    "write `12.3 USD/h`",
    may_be_zero=True,
)
_ALL = (BYTES, BANDWIDTH, TIME, RATE, COMPUTE, PRICE)


def parse_bytes(value: object) -> int:
    """Return an amount of memory in bytes, rounded down."""
    return _whole(BYTES, value)


def parse_used_bytes(value: object) -> int:
    """Return an amount of memory in bytes, rounded down, which may be zero."""
    return int(_parse(USED_BYTES, value))


def parse_bandwidth(value: object) -> int:
    """Return a bandwidth in bytes/s, rounded down."""
    return _whole(BANDWIDTH, value)


def parse_compute(value: object) -> int:
    """Return a compute rate in FLOP/s, rounded down."""
    return _whole(COMPUTE, value)


def parse_seconds(value: object) -> Decimal:
    """Return a time in seconds, which may be zero."""
    return _ROUNDED.plus(_parse(TIME, value))


def parse_rate(value: object) -> float:
    """Return a rate per second."""
    return float(_parse(RATE, value))


def parse_price(value: object) -> Decimal:
    """Return a price in US dollars an hour, which may be zero."""
    return _ROUNDED.plus(_parse(PRICE, value))


def parse_fraction(value: object) -> Decimal:
    """Return a share, above 0 and at most 1, written as `90%` or 0.9."""
    hint = "write `90%` or `0.9`"
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    match = _FRACTION.fullmatch(str(value)) if is_number or isinstance(value, str) else None
    if match is None:
        raise _refusal(value, _SHARE, hint=hint)
    _check_digits(value, match["number"])
    fraction = Decimal(match["number"]).scaleb(-2 if match["percent"] else 0)
    if not 0 < fraction <= 1:
        raise _refusal(value, _SHARE, hint=hint)
    return fraction


def _whole(quantity: Quantity, value: object) -> int:
    whole = int(_parse(quantity, value))
    if whole < 1:
        raise _refusal(value, f"{quantity.noun} of at least 1 in SI units")
    return whole


def _parse(quantity: Quantity, value: object) -> Decimal:
    if isinstance(value, int | float) and not isinstance(value, bool):
        raise _refusal(value, f"{quantity.noun} with its unit", hint=quantity.hint)
    match = _QUANTITY.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise _refusal(value, quantity.noun, hint=quantity.hint)
    _check_digits(value, match["number"])
    unit = match["unit"].rstrip(" ")
    if unit not in quantity.scales:
        raise _refusal(value, _needed_unit(quantity, unit), hint=quantity.hint)
    amount = _EXACT.multiply(Decimal(match["number"]), quantity.scales[unit])
    if match["sign"] == "-" or not (amount or quantity.may_be_zero):
        raise _refusal(value, f"{quantity.noun} {'>= 0' if quantity.may_be_zero else '> 0'}")
    if amount > LARGEST:
        raise _refusal(value, f"{quantity.noun} of at most {LARGEST:.0e} in SI units")
    return amount


def _needed_unit(quantity: Quantity, unit: str) -> str:
    """Say what is needed instead of an unknown unit."""
    if not unit:
        return f"{quantity.noun} with its unit"
    if quantity.scales is BYTES.scales and _BITS.fullmatch(unit):
        return f"{quantity.noun}; `{unit}` counts bits, and memory is in bytes"
    other = next((other.noun for other in _ALL if unit in other.scales), None)
    return f"{quantity.noun}; `{unit}` is {other or 'not a known unit'}"


def _check_digits(value: object, number: str) -> None:
    digits = Decimal(number).as_tuple().digits
    if len(digits) > DIGITS or len(str(value)) > _LONGEST_TEXT:
        raise _refusal(value, f"a number of at most {DIGITS} digits")


def _refusal(value: object, needed: str, *, hint: str | None = None) -> QuantityError:
    return QuantityError(f"found {found(value)}, needed {needed}", hint=hint)
