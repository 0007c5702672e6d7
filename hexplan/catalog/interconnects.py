"""What collectives reach over the links inside a host, by kind of link."""

from __future__ import annotations

from decimal import Decimal
from functools import cache
from importlib import resources

from hexplan.frozen_model import FrozenModel
from hexplan.host import Interconnect

_MEGA, _GIGA = 10**6, 10**9
_FULL_SLOT = 16
"""Lanes of a slot of the rate that the file states."""


class _Kind(FrozenModel):
    """One kind of link in data/interconnects.json."""

    name: str
    gb_per_s: Decimal
    """By its datasheet, per device and direction."""
    share: Decimal
    """What a collective of two devices reaches of it."""
    latency_us: Decimal
    device_latency_us: Decimal
    contention: Decimal
    error: Decimal
    source: str


class _InterconnectFile(FrozenModel):
    """All of data/interconnects.json."""

    comment: str
    kinds: tuple[_Kind, ...]


def known_links() -> tuple[str, ...]:
    """Return the names of all kinds of links."""
    return tuple(_kinds())


def interconnect_of(kind: str, bandwidth_bytes_per_s: int | None = None) -> Interconnect:
    """Return what collectives reach over a link.

    Parameters
    ----------
    kind
        Such as `nvlink4`, `pcie4x8` with eight lanes, or what a datasheet says: `nvlink4-bridge`.
    bandwidth_bytes_per_s
        Per device and direction, by the datasheet; None means that of most devices with this link.

    Raises
    ------
    KeyError
        If no kind of link begins like this.
    """
    kinds = _kinds()
    found = next((row for name, row in kinds.items() if kind.startswith(name)), None)
    if found is None:
        raise KeyError(kind)
    lanes = kind.removeprefix(f"{found.name}x")
    width = Decimal(lanes) / _FULL_SLOT if lanes.isdecimal() else 1
    peak = bandwidth_bytes_per_s or int(found.gb_per_s * width * _GIGA)
    return Interconnect(
        bandwidth_bytes_per_s=int(peak * found.share),
        latency_s=found.latency_us / _MEGA,
        device_latency_s=found.device_latency_us / _MEGA,
        contention=found.contention,
        error=found.error,
    )


@cache
def _kinds() -> dict[str, _Kind]:
    text = resources.files("hexplan.catalog").joinpath("data", "interconnects.json")
    rows = _InterconnectFile.model_validate_json(text.read_text("utf-8")).kinds
    return {row.name: row for row in rows}
